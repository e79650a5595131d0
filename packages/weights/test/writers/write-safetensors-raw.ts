import { ByteWriter } from './byte-writer.js';
import type { TestTensor } from './tensor.js';

export interface SafetensorsContents {
  readonly tensors: readonly TestTensor[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Independent of the package's own writer, so that tests of readers do not lean on it. */
export function writeSafetensorsRaw({
  tensors,
  metadata,
}: SafetensorsContents): Uint8Array<ArrayBuffer> {
  let offset = 0;
  const fields = tensors.map(({ name, shape, format, bytes }): [string, unknown] => {
    const data_offsets = [offset, (offset += bytes.length)];
    return [name, { dtype: format.toUpperCase(), shape, data_offsets }];
  });
  if (metadata !== undefined) fields.unshift(['__metadata__', metadata]);
  const text = `{${fields.map(([name, info]) => `${JSON.stringify(name)}:${JSON.stringify(info)}`).join(',')}}`;
  return safetensorsOf(
    text,
    tensors.map(({ bytes }) => bytes),
  );
}

/** Any header text before any bytes. */
export function safetensorsOf(
  header: string,
  data: readonly Uint8Array[] = [],
): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(header);
  const padded = Math.ceil(bytes.length / 8) * 8;
  const writer = new ByteWriter().u64(padded).bytes(bytes);
  writer.bytes(new Uint8Array(padded - bytes.length).fill(' '.charCodeAt(0)));
  for (const part of data) writer.bytes(part);
  return writer.finish();
}
