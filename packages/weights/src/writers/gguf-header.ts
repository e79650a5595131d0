/** The bytes before the data of a GGUF file, version 3, little-endian. */
import type { WeightFormat } from '@rwkv-ts/backend';
import type { PlacedTarget } from './targets.js';

/** Data offsets are multiples of this: the default that readers assume. */
export const ggufAlignment = 32;

/** GGUF's value types, by what we write them from. */
export type GgufValue =
  | { readonly type: 'u32' | 'i32' | 'f32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'i32s'; readonly value: readonly number[] };

const typeNumbers = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;

/** `enum ggml_type`. */
const ggmlTypes: Readonly<Record<WeightFormat, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  bf16: 30,
};

/** Little-endian fields, one after the other. */
class FieldWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #encoder = new TextEncoder();

  number(width: 1 | 4 | 8, set: (view: DataView) => void): void {
    const bytes = new Uint8Array(width);
    set(new DataView(bytes.buffer));
    this.#parts.push(bytes);
  }

  u32(value: number): void {
    this.number(4, (view) => {
      view.setUint32(0, value, true);
    });
  }

  u64(value: number): void {
    this.number(8, (view) => {
      view.setBigUint64(0, BigInt(value), true);
    });
  }

  string(value: string): void {
    const text = this.#encoder.encode(value);
    this.u64(text.length);
    this.#parts.push(text);
  }

  finish(): Uint8Array {
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0);
    const bytes = new Uint8Array(length + padding(length));
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

/** Bytes up to the next multiple of the alignment. */
export function padding(length: number): number {
  return (ggufAlignment - (length % ggufAlignment)) % ggufAlignment;
}

function writeValue(writer: FieldWriter, entry: GgufValue): void {
  switch (entry.type) {
    case 'strings':
      writer.u32(typeNumbers.array);
      writer.u32(typeNumbers.string);
      writer.u64(entry.value.length);
      for (const value of entry.value) writer.string(value);
      return;
    case 'i32s':
      writer.u32(typeNumbers.array);
      writer.u32(typeNumbers.i32);
      writer.u64(entry.value.length);
      for (const value of entry.value) writer.u32(value >>> 0);
      return;
    case 'string':
      writer.u32(typeNumbers.string);
      writer.string(entry.value);
      return;
    case 'bool':
      writer.u32(typeNumbers.bool);
      writer.number(1, (view) => {
        view.setUint8(0, entry.value ? 1 : 0);
      });
      return;
    case 'f32':
      writer.u32(typeNumbers.f32);
      writer.number(4, (view) => {
        view.setFloat32(0, entry.value, true);
      });
      return;
    case 'u32':
    case 'i32':
      writer.u32(typeNumbers[entry.type]);
      writer.u32(entry.value >>> 0);
  }
}

/** Header, metadata and tensor table, padded to where the data starts. */
export function ggufHeader(
  metadata: ReadonlyMap<string, GgufValue>,
  placed: readonly PlacedTarget[],
): Uint8Array {
  const writer = new FieldWriter();
  writer.u32(0x46554747);
  writer.u32(3);
  writer.u64(placed.length);
  writer.u64(metadata.size);
  for (const [key, value] of metadata) {
    writer.string(key);
    writeValue(writer, value);
  }
  let offset = 0;
  for (const { name, shape, format, byteLength } of placed) {
    writer.string(name);
    writer.u32(shape.length);
    for (const size of [...shape].reverse()) writer.u64(size);
    writer.u32(ggmlTypes[format]);
    writer.u64(offset);
    offset += byteLength + padding(byteLength);
  }
  return writer.finish();
}
