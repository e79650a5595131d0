import { BackendError, type HostWeight } from '@rwkv-ts/backend';
import { bytesForShape, decode, FormatsError } from '@rwkv-ts/formats';
import { checkedCount } from './numbers.js';

/**
 * A weight's numbers as f32, into the array that `allocate` gives; nothing is allocated before every size is checked.
 * @throws BackendError `WEIGHT_INVALID`
 */
export function decodeWeight(
  weight: HostWeight,
  allocate: (count: number) => Float32Array,
): Float32Array {
  const { name, shape, format, bytes } = weight;
  const invalid = (options: { expected: unknown; got: unknown; cause?: unknown }): BackendError =>
    new BackendError({
      code: 'WEIGHT_INVALID',
      message: `Weight ${name} ${format} [${shape.join(', ')}] must have ${String(options.expected)}, got ${String(options.got)}.`,
      ...options,
    });
  if (typeof name !== 'string' || name === '') {
    throw invalid({ expected: 'a name', got: JSON.stringify(name) });
  }
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`Weight ${name} must have Uint8Array bytes.`);
  const count = checkedCount(shape);
  if (count === 0) throw invalid({ expected: 'positive sizes', got: `[${shape.join(', ')}]` });
  try {
    const expected = bytesForShape(format, shape);
    if (bytes.length !== expected)
      throw invalid({ expected: `${expected} bytes`, got: bytes.length });
    return decode(format, bytes, allocate(count));
  } catch (cause) {
    if (!(cause instanceof FormatsError)) throw cause;
    throw invalid({ expected: cause.expected, got: cause.got, cause });
  }
}
