import { formatInfo, formatNames } from '@rwkv-ts/formats';
import { describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { ByteWriter } from '../../test/writers/byte-writer.js';
import { patternTensor, writeGgufRaw } from '../../test/writers/index.js';
import type { GgufValue } from '../../test/writers/index.js';
import { memorySource } from '../sources/memory-source.js';
import { openGguf } from './gguf.js';

const open = (bytes: Uint8Array) => openGguf(memorySource(bytes, { name: 'a.gguf' }));
const number = (
  type: 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'u64' | 'i64' | 'f64',
  value: number | bigint,
): GgufValue => ({ type, value });
const text = (value: string): GgufValue => ({ type: 'string', value });
const tensor = patternTensor('t', [2, 3], 'f32');

describe('GGUF', () => {
  it.each([2, 3])('reads every tensor type in version %d, sizes reversed', async (version) => {
    const names = formatNames.filter((format) => format !== 'u8' && format !== 'bool');
    const tensors = names.map((format) =>
      patternTensor(format, [2, 3, formatInfo(format).blockSize], format),
    );
    const file = await open(writeGgufRaw({ tensors, version }));
    expect([...file.tensors.keys()]).toEqual(names);
    for (const { name, shape, format, bytes } of tensors) {
      expect(file.tensors.get(name)).toMatchObject({ name, shape, format });
      expect(await file.tensors.get(name)!.read(), name).toEqual(bytes);
    }
  });

  it.each([1, 8, 64, 4096])('reads an alignment of %d', async (alignment) => {
    const tensors = [patternTensor('a', [3], 'i8'), patternTensor('b', [5], 'f16'), tensor];
    const file = await open(writeGgufRaw({ tensors, alignment }));
    for (const { name, bytes } of tensors)
      expect(await file.tensors.get(name)!.read()).toEqual(bytes);
  });

  it('reads metadata of every type', async () => {
    const values: Record<string, GgufValue> = {
      u8: number('u8', 200),
      i8: number('i8', -100),
      u16: number('u16', 60000),
      i16: number('i16', -30000),
      u32: number('u32', 4e9),
      i32: number('i32', -2e9),
      f32: number('f32', 0.5),
      f64: number('f64', 0.1),
      u64: number('u64', 7),
      i64: number('i64', -7),
      large: number('u64', 2n ** 63n),
      low: number('i64', -(2n ** 60n)),
      yes: { type: 'bool', value: true },
      text: text('wörld'),
      empty: text(''),
      numbers: { type: 'array', of: 'u16', values: [number('u16', 1), number('u16', 65535)] },
      flags: { type: 'array', of: 'bool', values: [{ type: 'bool', value: false }] },
      texts: { type: 'array', of: 'string', values: [text('a'), text('')] },
      none: { type: 'array', of: 'f32', values: [] },
      nested: {
        type: 'array',
        of: 'array',
        values: [{ type: 'array', of: 'i8', values: [number('i8', -1)] }],
      },
    };
    const { metadata } = await open(writeGgufRaw({ tensors: [], metadata: values }));
    expect(Object.fromEntries(metadata)).toEqual({
      u8: 200,
      i8: -100,
      u16: 60000,
      i16: -30000,
      u32: 4e9,
      i32: -2e9,
      f32: 0.5,
      f64: 0.1,
      u64: 7,
      i64: -7,
      large: 2n ** 63n,
      low: -(2n ** 60n),
      yes: true,
      text: 'wörld',
      empty: '',
      numbers: [1, 65535],
      flags: [false],
      texts: ['a', ''],
      none: [],
      nested: [[-1]],
    });
  });

  it('refuses other versions and byte orders by name', async () => {
    await expectCode(
      open(writeGgufRaw({ tensors: [], version: 1 })),
      'CONTAINER_UNSUPPORTED',
      /version 1/,
    );
    await expectCode(
      open(writeGgufRaw({ tensors: [], version: 4 })),
      'CONTAINER_UNSUPPORTED',
      /version 4/,
    );
    await expectCode(
      open(writeGgufRaw({ tensors: [], version: 0x03000000 })),
      'CONTAINER_UNSUPPORTED',
      /big-endian/,
    );
  });

  it('refuses split files by name', async () => {
    const metadata = { 'split.count': number('u16', 3) };
    await expectCode(
      open(writeGgufRaw({ tensors: [], metadata })),
      'CONTAINER_UNSUPPORTED',
      /3 files.*merge/,
    );
    const whole = { 'split.count': number('u16', 1) };
    await expect(open(writeGgufRaw({ tensors: [], metadata: whole }))).resolves.toBeDefined();
  });

  it('refuses duplicate tensor names and metadata keys', async () => {
    await expectCode(
      open(writeGgufRaw({ tensors: [tensor, tensor] })),
      'CONTAINER_INVALID',
      /two tensors/,
    );
    const twice = new ByteWriter().text('GGUF').u32(3).u64(0, 2);
    for (let i = 0; i < 2; i++) twice.u64(1).text('k').u32(0).u8(1);
    await expectCode(open(twice.finish()), 'CONTAINER_INVALID', /twice/);
  });
});

/** One tensor header with everything open to lies, then 64 bytes. */
function lying({
  count = 1n,
  dimensions = [4n],
  type = 0,
  offset = 0n,
}: {
  count?: bigint;
  dimensions?: bigint[];
  type?: number;
  offset?: bigint;
}): Uint8Array {
  const writer = new ByteWriter().text('GGUF').u32(3).u64(count, 0);
  writer
    .u64(1)
    .text('t')
    .u32(dimensions.length)
    .u64(...dimensions)
    .u32(type)
    .u64(offset);
  return writer.align(32).bytes(new Uint8Array(64)).finish();
}

describe('GGUF that lies', () => {
  it('accepts the same bytes without a lie', async () => {
    expect(await (await open(lying({}))).tensors.get('t')!.read()).toEqual(new Uint8Array(16));
  });

  it.each([
    ['more tensors than fit', { count: 1000n }],
    ['2^64 - 1 tensors', { count: 2n ** 64n - 1n }],
    ['a dimension beyond 2^53', { dimensions: [2n ** 60n] }],
    ['a product beyond 2^53', { dimensions: [2n ** 40n, 2n ** 40n] }],
    ['nine dimensions', { dimensions: new Array<bigint>(9).fill(1n) }],
    ['rows that do not divide into blocks', { dimensions: [33n], type: 8 }],
    ['an unaligned offset', { offset: 4n }],
    ['a type that does not exist', { type: 77 }],
  ])('refuses %s', async (_, lie) => {
    await expectCode(open(lying(lie)), 'CONTAINER_INVALID');
  });

  it('refuses tensors outside the file', async () => {
    await expectCode(open(lying({ offset: 64n })), 'READ_OUT_OF_RANGE');
    await expectCode(open(lying({ dimensions: [17n] })), 'READ_OUT_OF_RANGE');
  });

  it('refuses types that ggml has removed', async () => {
    await expectCode(open(lying({ type: 4 })), 'CONTAINER_UNSUPPORTED', /removed/);
    await expectCode(open(lying({ type: 31 })), 'CONTAINER_UNSUPPORTED', /removed/);
  });

  it('refuses tensors that overlap', async () => {
    const writer = new ByteWriter().text('GGUF').u32(3).u64(2, 0);
    for (const [name, offset] of [
      ['a', 0],
      ['b', 32],
    ] as const) {
      writer.u64(1).text(name).u32(1).u64(16).u32(0).u64(offset);
    }
    await expectCode(
      open(writer.align(32).bytes(new Uint8Array(128)).finish()),
      'CONTAINER_INVALID',
      /overlap/,
    );
  });

  const withValue = (write: (writer: ByteWriter) => ByteWriter) =>
    open(
      write(new ByteWriter().text('GGUF').u32(3).u64(0, 1).u64(1).text('k'))
        .bytes(new Uint8Array(64))
        .finish(),
    );
  it.each([
    ['a string longer than the limit', (w: ByteWriter) => w.u32(8).u64(2n ** 40n)],
    [
      'an array longer than the file',
      (w: ByteWriter) =>
        w
          .u32(9)
          .u32(4)
          .u64(2n ** 32n),
    ],
    ['an array of strings longer than the file', (w: ByteWriter) => w.u32(9).u32(8).u64(100)],
    ['an unknown value type', (w: ByteWriter) => w.u32(13)],
    ['an unknown element type', (w: ByteWriter) => w.u32(9).u32(13).u64(0)],
    ['a boolean of 2', (w: ByteWriter) => w.u32(7).u8(2)],
    [
      'deep arrays',
      (w: ByteWriter) => {
        w.u32(9);
        for (let i = 0; i < 9; i++) w.u32(9).u64(1);
        return w;
      },
    ],
    ['text that is not UTF-8', (w: ByteWriter) => w.u32(8).u64(1).u8(0xff)],
  ])('refuses %s', async (_, write) => {
    await expectCode(withValue(write), 'CONTAINER_INVALID');
  });

  it.each([3, 0, 2 ** 21])('refuses an alignment of %d', async (alignment) => {
    const metadata = { 'general.alignment': number('u32', alignment) };
    await expectCode(
      open(writeGgufRaw({ tensors: [], metadata })),
      'CONTAINER_INVALID',
      /alignment/,
    );
  });
});
