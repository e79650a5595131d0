/** Tensors that are no model (optimiser states, adapters, tuned states) as one safetensors file. */
import { bytesForShape } from '@rwkv-ts/formats';
import type { ByteSink } from '../byte-source.js';
import { safetensorsHeader } from './safetensors-header.js';

export interface TensorToWrite {
  readonly name: string;
  /** Row-major. */
  readonly shape: readonly number[];
  readonly format: 'f64' | 'f32' | 'f16' | 'bf16';
  /** Little-endian; asked for when its turn comes, one tensor at a time. */
  read(): Promise<Uint8Array>;
}

/**
 * Streams the tensors into `sink` and closes it.
 * @throws TypeError for a name twice, or bytes of another length than format and shape say
 * @throws WeightsError `SINK_FAILED`, and what reading throws
 */
export async function writeTensors(
  tensors: readonly TensorToWrite[],
  sink: ByteSink,
  { metadata = {} }: { readonly metadata?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const names = new Set(tensors.map(({ name }) => name));
  if (names.size < tensors.length) throw new TypeError('Two tensors of a file have the same name.');
  const entries = tensors.map(({ name, shape, format }) => ({
    name,
    shape,
    format,
    byteLength: bytesForShape(format, shape),
  }));
  await sink.write(safetensorsHeader(entries, { format: 'pt', ...metadata }));
  for (const [index, tensor] of tensors.entries()) {
    const bytes = await tensor.read();
    const { name, byteLength } = entries[index]!;
    if (bytes.length !== byteLength) {
      throw new TypeError(`${name} must have ${byteLength} bytes, got ${bytes.length}.`);
    }
    await sink.write(bytes);
  }
  await sink.close();
}
