import type { DeviceContext } from './device/device-context.js';
import type { Memory } from './memory.js';
import type { WebGpuProgress, WebGpuTier } from './options.js';

/** What the handles of one backend share. */
export interface Engine {
  readonly context: DeviceContext;
  readonly memory: Memory;
  readonly tier: WebGpuTier;
  readonly maxBindingBytes: number;
  readonly onProgress: (progress: WebGpuProgress) => void;
}
