import { describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { countingSource } from '../../test/fuzz/check-input.js';
import { ByteWriter } from '../../test/writers/byte-writer.js';
import { contiguousStrides, f32Tensor, patternTensor, writePth } from '../../test/writers/index.js';
import type { PthContents, PthTensor } from '../../test/writers/index.js';
import { writeZip } from '../../test/writers/zip.js';
import { openRawFile } from '../open-raw-file.js';
import { memorySource } from '../sources/memory-source.js';
import { openPth } from './pth.js';

const open = (bytes: Uint8Array) => openPth(memorySource(bytes, { name: 'model.pth' }));
const tensors: readonly PthTensor[] = [
  patternTensor('emb.weight', [5, 4], 'bf16'),
  patternTensor('blocks.0.att.x_r', [1, 1, 4], 'f16'),
  patternTensor('head.weight', [5, 4], 'f32'),
  patternTensor('step', [], 'i64'),
  patternTensor('d', [2], 'f64'),
  patternTensor('i', [2], 'i32'),
  patternTensor('s', [3], 'i16'),
  patternTensor('c', [3], 'i8'),
  patternTensor('u', [3], 'u8'),
  patternTensor('b', [3], 'bool'),
  patternTensor('empty', [0, 4], 'f32'),
];

const variants: readonly (readonly [string, Partial<PthContents>])[] = [
  ['as PyTorch writes it', {}],
  ['a plain dict', { dict: 'dict' }],
  ['protocol 3', { protocol: 3 }],
  ['protocol 4', { protocol: 4 }],
  ['protocol 5', { protocol: 5 }],
  ['zip64 throughout', { zip: { form: 'zip64' } }],
  ['no alignment', { zip: { alignment: 1 } }],
  ['deflated', { method: 'deflated' }],
  ['wrapped in state_dict', { wrapper: 'state_dict' }],
  ['a byte order', { byteOrder: 'little' }],
  ['another folder', { prefix: 'RWKV-x070' }],
];

describe('pth', () => {
  it.each(variants)('reads every tensor of %s', async (_, contents) => {
    const file = await open(writePth({ tensors, ...contents }));
    expect(file.container).toBe('pth');
    expect([...file.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
    for (const { name, shape, format, bytes } of tensors) {
      const tensor = file.tensors.get(name)!;
      expect(tensor).toMatchObject({ name, shape, format, byteLength: bytes.length });
      expect(await tensor.read(), name).toEqual(bytes);
    }
  });

  it('keeps scalars as metadata, and prefixes as they are', async () => {
    const scalars = { _strategy: 'cpu fp32', _version: 0.7, _rescale_layer: 6, ready: true };
    const file = await open(
      writePth({ tensors: [patternTensor('_forward_module.emb.weight', [2], 'f32')], scalars }),
    );
    expect(Object.fromEntries(file.metadata)).toEqual(scalars);
    expect([...file.tensors.keys()]).toEqual(['_forward_module.emb.weight']);
  });

  it('keeps scalars from outside of a wrapped dict', async () => {
    const file = await open(writePth({ tensors, wrapper: 'state_dict', scalars: { inner: 1 } }));
    expect(Object.fromEntries(file.metadata)).toEqual({ epoch: 3, inner: 1 });
  });

  it('reads parameters, shared storages, offsets and strides', async () => {
    const storage = f32Tensor('', [12], [...Array(12).keys()]).bytes;
    const view = (name: string, shape: number[], offset: number, strides: number[]): PthTensor => ({
      ...f32Tensor(name, shape, []),
      view: { storage: 'shared', offset, strides },
    });
    const file = await open(
      writePth({
        storages: new Map([['shared', storage]]),
        tensors: [
          { ...patternTensor('p', [3], 'bf16'), as: 'parameter' },
          view('whole', [3, 4], 0, [4, 1]),
          view('transposed', [4, 3], 0, [1, 4]),
          view('columns', [3, 2], 1, [4, 2]),
          view('tail', [2], 10, [1]),
          view('one', [1, 1], 7, [99, 99]),
          view('cube', [2, 2, 3], 0, [1, 6, 2]),
        ],
      }),
    );
    const numbers = async (name: string) => {
      const bytes = await file.tensors.get(name)!.read();
      return [...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)];
    };
    expect(await file.tensors.get('p')!.read()).toEqual(patternTensor('p', [3], 'bf16').bytes);
    expect(await numbers('whole')).toEqual([...Array(12).keys()]);
    expect(await numbers('transposed')).toEqual([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    expect(await numbers('columns')).toEqual([1, 3, 5, 7, 9, 11]);
    expect(await numbers('tail')).toEqual([10, 11]);
    expect(await numbers('one')).toEqual([7]);
    expect(await numbers('cube')).toEqual([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
  });

  it('reads a transposed tensor of a deflated entry', async () => {
    const tensor: PthTensor = {
      ...f32Tensor('t', [2, 2], []),
      view: { storage: 's', offset: 0, strides: [1, 2] },
    };
    const storage = f32Tensor('', [4], [1, 2, 3, 4]).bytes;
    const file = await open(
      writePth({ tensors: [tensor], storages: new Map([['s', storage]]), method: 'deflated' }),
    );
    expect(await file.tensors.get('t')!.read()).toEqual(f32Tensor('', [4], [1, 3, 2, 4]).bytes);
  });

  it('reads headers only when it opens, and a tensor by its own bytes', async () => {
    const large = patternTensor('large', [512, 512], 'f32');
    const source = countingSource(
      writePth({ tensors: [large, patternTensor('small', [4], 'f32')] }),
    );
    const file = await openPth(source);
    const opening = source.requested;
    expect(opening).toBeLessThan(80 * 1024);
    await file.tensors.get('small')!.read();
    expect(source.requested - opening).toBeLessThan(200);
  });

  it('refuses numbers that formats do not know, by name', async () => {
    const tensor = {
      ...patternTensor('mask', [2], 'i8'),
      format: 'complex32',
    } as unknown as PthTensor;
    expect(() => writePth({ tensors: [tensor] })).toThrow(TypeError);
  });
});

const withView = (view: NonNullable<PthTensor['view']>, shape: number[]) =>
  writePth({
    tensors: [{ ...f32Tensor('t', shape, []), view }],
    storages: new Map([['s', new Uint8Array(24)]]),
  });

describe('pth that lies', () => {
  it.each([
    ['offset beyond the storage', [2], 5, [1]],
    ['stride beyond the storage', [2, 2], 0, [5, 1]],
    ['more numbers than the storage', [7], 0, [1]],
    ['huge sizes', [2 ** 31, 2 ** 31], 0, [2 ** 31, 1]],
    ['an empty tensor beyond the storage', [0], 7, [1]],
  ] as const)('%s', async (_, shape, offset, strides) => {
    await expectCode(
      open(withView({ storage: 's', offset, strides }, [...shape])),
      'CONTAINER_INVALID',
    );
  });

  it('refuses expanded and overlapping views: few bytes that claim to be many', async () => {
    const expanded = withView({ storage: 's', offset: 0, strides: [0, 1] }, [1_000_000, 2]);
    await expectCode(open(expanded), 'CONTAINER_UNSUPPORTED', /overlapping/);
    const overlapping = withView({ storage: 's', offset: 0, strides: [1, 1] }, [3, 3]);
    await expectCode(open(overlapping), 'CONTAINER_UNSUPPORTED', /overlapping/);
  });

  it('refuses a storage whose entry has another size, or is missing', async () => {
    const good = writePth({ tensors: [patternTensor('t', [3], 'f32')], prefix: 'a' });
    const pickle = await entryOf(good, 'a/data.pkl');
    const shorter = writeZip([
      { name: 'a/data.pkl', bytes: pickle },
      { name: 'a/data/0', bytes: new Uint8Array(11) },
    ]);
    const longer = writeZip([
      { name: 'a/data.pkl', bytes: pickle },
      { name: 'a/data/0', bytes: new Uint8Array(13) },
    ]);
    await expectCode(open(longer), 'CONTAINER_INVALID', /13 bytes.*need 12/);
    await expectCode(open(shorter), 'CONTAINER_INVALID', /11 bytes.*need 12/);
    await expectCode(
      open(writeZip([{ name: 'a/data.pkl', bytes: pickle }])),
      'CONTAINER_INVALID',
      /missing/,
    );
  });

  it('refuses thousands of tensors in one compressed storage: each read inflates it whole', async () => {
    const many = (count: number): Uint8Array =>
      writePth({
        tensors: Array.from({ length: count }, (_, i) => ({
          ...patternTensor(`t${i}`, [1], 'f32'),
          view: { storage: 's', offset: i, strides: [1] },
        })),
        storages: new Map([['s', new Uint8Array(40_000)]]),
        method: 'deflated',
      });
    await expectCode(open(many(2000)), 'CONTAINER_INVALID', /inflate 80000000 bytes/);
    expect((await open(many(1))).tensors.size).toBe(1);
  });

  it('takes the state_dict of a checkpoint, also where a tensor lies beside it', async () => {
    const own = tensors.slice(0, 2);
    const beside = [patternTensor('rng_state', [16], 'u8')];
    for (const wrapper of ['state_dict', 'model_state_dict']) {
      const file = await open(writePth({ tensors: own, wrapper, beside }));
      expect([...file.tensors.keys()]).toEqual(own.map(({ name }) => name));
    }
  });

  it('refuses two tensors of one name', async () => {
    const twice = writePth({ tensors: [tensors[0]!, tensors[0]!] });
    await expectCode(open(twice), 'CONTAINER_INVALID', /twice/);
  });

  it('refuses TorchScript, big-endian files and other ZIP archives by name', async () => {
    const code = { name: 'archive/code/model.py', bytes: new Uint8Array(1) };
    await expectCode(
      open(writePth({ tensors, extraFiles: [code] })),
      'CONTAINER_UNSUPPORTED',
      /TorchScript/,
    );
    await expectCode(
      open(writePth({ tensors, byteOrder: 'big' })),
      'CONTAINER_UNSUPPORTED',
      /big-endian/,
    );
    await expectCode(open(writePth({ tensors, byteOrder: 'odd' })), 'CONTAINER_INVALID', /odd/);
    const other = writeZip([{ name: 'readme.txt', bytes: new Uint8Array(3) }]);
    await expectCode(openRawFile(memorySource(other)), 'CONTAINER_UNKNOWN', /data\.pkl/);
  });

  it('refuses an archive with two pickles', async () => {
    const bytes = writePth({
      tensors,
      extraFiles: [{ name: 'other/data.pkl', bytes: new Uint8Array(3) }],
    });
    await expectCode(open(bytes), 'CONTAINER_INVALID', /2 pickles/);
  });
});

/** The bytes of an entry, found by its local header and not by the reader under test. */
async function entryOf(zip: Uint8Array, name: string): Promise<Uint8Array> {
  const needle = new ByteWriter().text(name).finish();
  const at = zip.findIndex((_, i) => needle.every((byte, j) => zip[i + j] === byte));
  const view = new DataView(zip.buffer, zip.byteOffset);
  const start = at + view.getUint16(at - 4, true) + view.getUint16(at - 2, true);
  return zip.slice(start, start + view.getUint32(at - 30 + 22, true));
}

describe('strides', () => {
  it('has the row-major ones for a contiguous tensor', () => {
    expect(contiguousStrides([2, 3, 4])).toEqual([12, 4, 1]);
  });
});
