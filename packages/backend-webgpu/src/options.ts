/**
 * Whether products of weights in blocks round activations to 8 bits per 32 numbers and multiply integers, four at a time:
 * never, in steps of more than 16 rows, or always.
 */
export type IntegerProducts = 'never' | 'batches' | 'always';

/**
 * What kernels may use. `plain` runs on every adapter's default limits; `subgroups` adds sums across lanes where the
 * adapter has them. `auto` takes the best there is.
 */
export type WebGpuTier = 'plain' | 'subgroups';

export interface WebGpuProgress {
  /** `device`: asking for it. `pipelines`: shaders that `compile` builds. */
  readonly stage: 'device' | 'pipelines';
  readonly done: number;
  readonly total: number;
}

export interface WebGpuBackendOptions {
  /** Where adapters come from. Default: the runtime's own, in Node the package `webgpu`. */
  readonly gpu?: GPU;
  /** Default: what `gpu` gives. */
  readonly adapter?: GPUAdapter;
  /** The caller's device, which the backend leaves alone when it is disposed of. Default: one of the backend's own. */
  readonly device?: GPUDevice;
  readonly powerPreference?: GPUPowerPreference;
  readonly tier?: WebGpuTier | 'auto';
  /** Default `never`. Where WGSL has no such products, or they come out wrong, there are none. */
  readonly integerProducts?: IntegerProducts;
  /**
   * `auto`, the default: where `upload` is told the program, plain matrices that only meet what relu² leaves lie so that a
   * step of one row reads no column of them that meets a zero.
   */
  readonly sparseColumns?: 'auto' | 'never';
  /** Bytes that all handles together may hold. Default no limit but the device's. */
  readonly memoryLimit?: number;
  /** The largest part of a weight that one binding covers. Default the device's limit; less is for tests. */
  readonly maxBindingBytes?: number;
  readonly onProgress?: (progress: WebGpuProgress) => void;
}

const tiers = ['auto', 'plain', 'subgroups'];
const integers = ['never', 'batches', 'always'];

/** @throws TypeError for options out of range */
export function checkOptions(options: WebGpuBackendOptions): void {
  const { tier = 'auto', memoryLimit = Infinity, maxBindingBytes = Infinity } = options;
  if (!tiers.includes(tier)) {
    throw new TypeError(`tier must be ${tiers.join(', ')}, got ${tier}.`);
  }
  const { integerProducts = 'never' } = options;
  if (!integers.includes(integerProducts)) {
    throw new TypeError(`integerProducts must be ${integers.join(', ')}, got ${integerProducts}.`);
  }
  const { sparseColumns = 'auto' } = options;
  if (!['auto', 'never'].includes(sparseColumns)) {
    throw new TypeError(`sparseColumns must be auto, never, got ${sparseColumns}.`);
  }
  if (typeof memoryLimit !== 'number' || !(memoryLimit >= 0)) {
    throw new TypeError(`memoryLimit must be a number of bytes, got ${String(memoryLimit)}.`);
  }
  if (typeof maxBindingBytes !== 'number' || !(maxBindingBytes >= 65_536)) {
    throw new TypeError(`maxBindingBytes must be at least 65536, got ${String(maxBindingBytes)}.`);
  }
}
