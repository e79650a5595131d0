/** Canonical models to the tensors of each layout, for tests and fixtures. Containers are written by ../writers. */
export { fla6Tensors, fla7Tensors } from './fla.js';
export { gguf6Model, gguf7Model, type GgufModel } from './gguf.js';
export { huggingFaceTensors, type HuggingFaceLayout } from './huggingface.js';
export { officialTensors } from './official.js';
export { appliedForms, rwkvCppTensors } from './rwkv-cpp.js';
export { webRwkvTensors } from './web-rwkv.js';
export { encoded, ggufFile, officialPth, rwkvCppBin, webRwkvSt } from './model-files.js';
