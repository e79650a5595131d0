export { openGguf } from './gguf.js';
export { openPth } from './pth.js';
export { openRwkvCpp } from './rwkv-cpp.js';
export { openSafetensors } from './safetensors.js';
export type { Siblings } from './sharded.js';
