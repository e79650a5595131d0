import type { Memory } from './memory.js';
import type { NativeAddon, NativeHandle } from './native.js';

/** What the handles of one backend share. */
export interface Engine {
  readonly addon: NativeAddon;
  readonly handle: NativeHandle;
  readonly memory: Memory;
}
