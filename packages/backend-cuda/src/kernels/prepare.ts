/**
 * Rows of x rounded for products (native/kernels/ops/prepare.cuh): the grid's x is rows, its y jobs, up to `mostJobs` in a
 * launch.
 *
 * - `bytes`: signed bytes and, for each 32 of them, a scale and the sums of either half; for block formats;
 * - `f16`: numbers with a power of two for each row, by which they are divided so that none overflows;
 * - `bf16`: numbers alone.
 */
import type { Kernel } from './kernel.js';

export type PreparedForm = 'bytes' | 'f16' | 'bf16';

const prepare = (form: PreparedForm) =>
  ({
    name: `prepare_${form}`,
    fields: { rows: 'count', job_count: 'count' },
    jobs: {
      fields: { x: 'rows', prepared: 'prepared', width: 'count', unused: 'count' },
      most: 8,
    },
    threads: 256,
    sharedBytes: 0,
    rowsPerBlock: 1,
  }) as const satisfies Kernel;

export const prepareKernels = {
  bytes: prepare('bytes'),
  f16: prepare('f16'),
  bf16: prepare('bf16'),
} as const;

/** Of `Prepared`: strides are in numbers and scales; both regions begin at multiples of 16 bytes. */
export interface PreparedRow {
  readonly stride: number;
  readonly scaleStride: number;
  readonly valueBytes: number;
  readonly scaleBytes: number;
}

/** For one row of x; regions of n rows take n times the bytes. `width` is a multiple of 32 for `bytes`. */
export function preparedRow(form: PreparedForm, width: number): PreparedRow {
  if (form === 'bytes') {
    const blocks = width / 32;
    return { stride: width, scaleStride: blocks, valueBytes: width, scaleBytes: 8 * blocks };
  }
  const stride = Math.ceil(width / 8) * 8;
  const scaleStride = form === 'f16' ? 1 : 0;
  return { stride, scaleStride, valueBytes: 2 * stride, scaleBytes: 4 * scaleStride };
}
