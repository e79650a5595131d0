import { describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { countingSource } from '../../test/fuzz/check-input.js';
import { ByteWriter } from '../../test/writers/byte-writer.js';
import { patternTensor, writeRwkvCppBin } from '../../test/writers/index.js';
import { memorySource } from '../sources/memory-source.js';
import { openRwkvCpp } from './rwkv-cpp.js';

const open = (bytes: Uint8Array) => openRwkvCpp(memorySource(bytes, { name: 'a.bin' }));
const header = { vocabulary: 4, width: 32, layers: 2 };

describe('rwkv.cpp', () => {
  const formats = [
    'f32',
    'f16',
    'q4_0',
    'q4_1',
    'q5_0',
    'q5_1',
    'q8_0',
    'q8_1',
    'q2_k',
    'q3_k',
    'q4_k',
    'q5_k',
    'q6_k',
    'q8_k',
  ] as const;
  const tensors = [
    ...formats.map((format) => patternTensor(format, [3, 256], format)),
    patternTensor('blocks.0.att.time_faaaa', [2, 16, 1], 'f32'),
  ];

  it('reads every type and its header', async () => {
    const file = await open(writeRwkvCppBin({ ...header, tensors, format: 'q5_1' }));
    expect(Object.fromEntries(file.metadata)).toEqual({
      version: 101,
      n_vocab: 4,
      n_embed: 32,
      n_layer: 2,
      data_type: 8,
    });
    expect([...file.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
    for (const { name, shape, format, bytes } of tensors) {
      expect(file.tensors.get(name)).toMatchObject({ name, shape, format });
      expect(await file.tensors.get(name)!.read(), name).toEqual(bytes);
    }
  });

  it('reads headers only when it opens', async () => {
    const large = [patternTensor('a', [512, 512], 'f32'), patternTensor('b', [512, 512], 'f32')];
    const source = countingSource(writeRwkvCppBin({ ...header, tensors: large }));
    await openRwkvCpp(source);
    expect(source.requested).toBeLessThan(16 * 1024);
  });

  it('reads version 100 unless it is quantised', async () => {
    const plain = patternTensor('a', [2], 'f16');
    const old = { ...header, version: 100 };
    await expect(
      open(writeRwkvCppBin({ ...old, tensors: [plain], format: 'f16' })),
    ).resolves.toBeDefined();
    await expectCode(
      open(writeRwkvCppBin({ ...old, tensors: [plain], format: 'q8_0' })),
      'CONTAINER_UNSUPPORTED',
      /quantised/,
    );
    const quantised = patternTensor('b', [32], 'q4_0');
    await expectCode(
      open(writeRwkvCppBin({ ...old, tensors: [quantised] })),
      'CONTAINER_UNSUPPORTED',
      /quantised/,
    );
  });

  it.each([99, 102, -1])('refuses version %d by name', async (version) => {
    await expectCode(
      open(writeRwkvCppBin({ ...header, tensors: [], version })),
      'CONTAINER_UNSUPPORTED',
      /version/,
    );
  });

  const start = () => new ByteWriter().u32(0x67676d66).i32(101, 4, 32, 2);
  it.each([
    [4, /Q4_1_O/],
    [5, /Q4_2/],
    [6, /Q4_3/],
  ] as const)('refuses the removed type %d by name', async (type, name) => {
    await expectCode(open(start().i32(type).finish()), 'CONTAINER_UNSUPPORTED', name);
    const inTensor = start().i32(0, 1, 1, type, 32).text('t').bytes(new Uint8Array(64)).finish();
    await expectCode(open(inTensor), 'CONTAINER_UNSUPPORTED', name);
  });

  it.each([
    ['an unknown type', (w: ByteWriter) => w.i32(0, 1, 1, 17, 4)],
    ['no dimensions', (w: ByteWriter) => w.i32(0, 0, 1, 0)],
    ['four dimensions', (w: ByteWriter) => w.i32(0, 4, 1, 0, 1, 1, 1, 1)],
    ['a negative dimension', (w: ByteWriter) => w.i32(0, 1, 1, 0, -4)],
    ['a dimension of zero', (w: ByteWriter) => w.i32(0, 1, 1, 0, 0)],
    ['no name', (w: ByteWriter) => w.i32(0, 1, 0, 0, 4)],
    ['a name of a gigabyte', (w: ByteWriter) => w.i32(0, 1, 2 ** 30, 0, 4)],
    ['rows that do not divide into blocks', (w: ByteWriter) => w.i32(0, 1, 1, 2, 31)],
    ['a product beyond 2^53', (w: ByteWriter) => w.i32(0, 3, 1, 0, 2 ** 30, 2 ** 30, 2 ** 30)],
  ])('refuses %s', async (_, write) => {
    await expectCode(
      open(write(start()).text('t').bytes(new Uint8Array(64)).finish()),
      'CONTAINER_INVALID',
    );
  });

  it('refuses a tensor that ends outside the file, and two of one name', async () => {
    const whole = writeRwkvCppBin({ ...header, tensors: [patternTensor('a', [4], 'f32')] });
    await expectCode(open(whole.slice(0, -1)), 'READ_OUT_OF_RANGE');
    const twice = writeRwkvCppBin({
      ...header,
      tensors: [patternTensor('a', [4], 'f32'), patternTensor('a', [2], 'f32')],
    });
    await expectCode(open(twice), 'CONTAINER_INVALID', /two tensors/);
    await expectCode(
      open(writeRwkvCppBin({ ...header, tensors: [] })),
      'CONTAINER_INVALID',
      /no tensors/,
    );
  });
});
