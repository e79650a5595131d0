import type { Memory } from '@rwkv-ts/native';
import type { NativeAddon, NativeHandle } from './native.js';

/** What the handles of one backend share. */
export interface Engine {
  readonly addon: NativeAddon;
  readonly handle: NativeHandle;
  readonly memory: Memory;
}
