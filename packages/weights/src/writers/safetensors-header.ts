/** The bytes before the data of a safetensors file: u64 header length, JSON header. */

export type SafetensorsFormat = 'f64' | 'f32' | 'f16' | 'bf16';

const dtypes: Readonly<Record<SafetensorsFormat, string>> = {
  f64: 'F64',
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
};

export interface HeaderEntry {
  readonly name: string;
  /** Row-major. */
  readonly shape: readonly number[];
  readonly format: SafetensorsFormat;
  readonly byteLength: number;
}

/** For tensors whose bytes follow one another in this order, without gaps. */
export function safetensorsHeader(
  entries: readonly HeaderEntry[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  let at = 0;
  const described = entries.map(({ name, shape, format, byteLength }): [string, object] => {
    const offsets = [at, at + byteLength];
    at += byteLength;
    return [name, { dtype: dtypes[format], shape, data_offsets: offsets }];
  });
  const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(described) });
  const text = new TextEncoder().encode(json);
  // Spaces up to a multiple of 8, so that readers that map the file find numbers aligned.
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
}
