import { ByteWriter } from './byte-writer.js';
import type { TestTensor } from './tensor.js';

const types: Readonly<Partial<Record<TestTensor['format'], number>>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 7,
  q5_1: 8,
  q8_0: 9,
  q8_1: 10,
  q2_k: 11,
  q3_k: 12,
  q4_k: 13,
  q5_k: 14,
  q6_k: 15,
  q8_k: 16,
};

export interface RwkvCppContents {
  readonly tensors: readonly TestTensor[];
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  readonly version?: number;
  /** Of the header. Default f32. */
  readonly format?: TestTensor['format'];
}

/** A file in rwkv.cpp's own format. */
export function writeRwkvCppBin(contents: RwkvCppContents): Uint8Array<ArrayBuffer> {
  const { tensors, vocabulary, width, layers, version = 101, format = 'f32' } = contents;
  const writer = new ByteWriter().u32(0x67676d66);
  writer.i32(version, vocabulary, width, layers, typeOf(format));
  for (const { name, shape, format: tensorFormat, bytes } of tensors) {
    const key = new TextEncoder().encode(name);
    writer.i32(shape.length, key.length, typeOf(tensorFormat), ...[...shape].reverse());
    writer.bytes(key).bytes(bytes);
  }
  return writer.finish();
}

function typeOf(format: TestTensor['format']): number {
  const type = types[format];
  if (type === undefined) throw new TypeError(`rwkv.cpp has no type ${format}`);
  return type;
}
