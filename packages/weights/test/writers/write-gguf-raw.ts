import { ByteWriter } from './byte-writer.js';
import type { TestTensor } from './tensor.js';

/** A metadata value with its GGUF type. */
export type GgufValue =
  | { readonly type: GgufNumber; readonly value: number | bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | {
      readonly type: 'array';
      readonly of: GgufValue['type'];
      readonly values: readonly GgufValue[];
    };

type GgufNumber = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'u64' | 'i64' | 'f64';

const valueTypes: Readonly<Record<GgufValue['type'], number>> = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
};

const tensorTypes: Readonly<Partial<Record<TestTensor['format'], number>>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q8_1: 9,
  q2_k: 10,
  q3_k: 11,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  q8_k: 15,
  iq2_xxs: 16,
  iq2_xs: 17,
  iq3_xxs: 18,
  iq1_s: 19,
  iq4_nl: 20,
  iq3_s: 21,
  iq2_s: 22,
  iq4_xs: 23,
  i8: 24,
  i16: 25,
  i32: 26,
  i64: 27,
  f64: 28,
  iq1_m: 29,
  bf16: 30,
  tq1_0: 34,
  tq2_0: 35,
  mxfp4: 39,
  nvfp4: 40,
  q1_0: 41,
  q2_0: 42,
};

export interface GgufContents {
  readonly tensors: readonly TestTensor[];
  readonly metadata?: Readonly<Record<string, GgufValue>>;
  readonly version?: number;
  readonly alignment?: number;
}

/** Independent of the package's own writer. An `alignment` other than 32 is written into the metadata too. */
export function writeGgufRaw({
  tensors,
  metadata = {},
  version = 3,
  alignment = 32,
}: GgufContents): Uint8Array<ArrayBuffer> {
  const values: Record<string, GgufValue> = { ...metadata };
  if (alignment !== 32) values['general.alignment'] = { type: 'u32', value: alignment };
  const writer = new ByteWriter().text('GGUF').u32(version);
  writer.u64(tensors.length, Object.keys(values).length);
  for (const [key, value] of Object.entries(values)) {
    writeText(writer, key);
    writer.u32(valueTypes[value.type]);
    writeValue(writer, value);
  }
  let offset = 0;
  for (const { name, shape, format, bytes } of tensors) {
    const type = tensorTypes[format];
    if (type === undefined) throw new TypeError(`GGUF has no type ${format}`);
    writeText(writer, name);
    writer.u32(shape.length).u64(...[...shape].reverse());
    writer.u32(type).u64(offset);
    offset = Math.ceil((offset + bytes.length) / alignment) * alignment;
  }
  for (const { bytes } of tensors) writer.align(alignment).bytes(bytes);
  return writer.finish();
}

function writeText(writer: ByteWriter, text: string): void {
  const bytes = new TextEncoder().encode(text);
  writer.u64(bytes.length).bytes(bytes);
}

function writeValue(writer: ByteWriter, value: GgufValue): void {
  if (value.type === 'string') {
    writeText(writer, value.value);
    return;
  }
  if (value.type === 'array') {
    writer.u32(valueTypes[value.of]).u64(value.values.length);
    for (const element of value.values) writeValue(writer, element);
    return;
  }
  const number = value.value;
  const writes: Record<GgufNumber | 'bool', () => unknown> = {
    u8: () => writer.u8(Number(number)),
    i8: () => writer.u8(Number(number) & 0xff),
    bool: () => writer.u8(Number(number)),
    u16: () => writer.u16(Number(number)),
    i16: () => writer.u16(Number(number) & 0xffff),
    u32: () => writer.u32(Number(number)),
    i32: () => writer.i32(Number(number)),
    f32: () => writer.f32(Number(number)),
    f64: () => writer.f64(Number(number)),
    u64: () => writer.u64(BigInt(number)),
    i64: () => writer.u64(BigInt.asUintN(64, BigInt(number))),
  };
  writes[value.type]();
}
