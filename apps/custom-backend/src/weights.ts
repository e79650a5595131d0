/** Weights as this backend computes on them: decoded to f32 once, at upload. */
import { BackendError, type HostWeight, type Weights } from '@rwkv-ts/backend';
import { bytesForShape, decode } from '@rwkv-ts/formats';
import { Handle, type Owner } from './handle.js';

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export class CustomWeights extends Handle implements Weights {
  readonly tensors: Map<string, Tensor>;

  constructor(owner: Owner, tensors: Map<string, Tensor>) {
    let bytes = 0;
    for (const { data } of tensors.values()) bytes += data.byteLength;
    super(owner, bytes);
    this.tensors = tensors;
  }

  protected release(): void {
    this.tensors.clear();
  }
}

/**
 * A file can come from anyone, so the size is checked before anything is allocated by it.
 * @throws BackendError `WEIGHT_INVALID`
 */
export function decodeWeight({ name, shape, format, bytes }: HostWeight): Float32Array {
  let expected: number;
  try {
    expected = bytesForShape(format, shape);
  } catch (cause) {
    throw new BackendError({
      code: 'WEIGHT_INVALID',
      message: `Weight ${name} cannot be ${format} of shape [${shape.join(', ')}].`,
      got: shape,
      cause,
    });
  }
  if (bytes.length !== expected) {
    throw new BackendError({
      code: 'WEIGHT_INVALID',
      message: `Weight ${name}, ${format} of shape [${shape.join(', ')}], takes ${expected} bytes, got ${bytes.length}.`,
      expected,
      got: bytes.length,
    });
  }
  return decode(format, bytes);
}
