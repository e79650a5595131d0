import type { DeviceContext } from './device/device-context.js';
import type { Memory } from './memory.js';
import type { IntegerProducts, WebGpuProgress } from './options.js';

/** What kernels may use on the device. */
export interface KernelFeatures {
  readonly subgroups: boolean;
  /** Types of half precision: `shader-f16`. */
  readonly halves: boolean;
  readonly integers: IntegerProducts;
}

/** What the handles of one backend share. */
export interface Engine {
  readonly context: DeviceContext;
  readonly memory: Memory;
  readonly features: KernelFeatures;
  readonly maxBindingBytes: number;
  readonly onProgress: (progress: WebGpuProgress) => void;
}
