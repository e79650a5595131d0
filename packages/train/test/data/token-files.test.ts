import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RwkvError } from '@rwkv-ts/backend';
import { createTokenWriter, openTokens, type TokenFiles } from '@rwkv-ts/train';
import { createTokenFiles, openTokenFiles } from '@rwkv-ts/train/node';
import { type ByteSource, memorySink, memorySource } from '@rwkv-ts/weights';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What RWKV-LM's make_data.py and binidx.py (with numpy 2.4) write for three documents. */
const documents = [
  [5, 65535, 0],
  [7, 0],
  [1, 2, 3, 4, 0],
];
const officialTokens = hex('0500ffff00000700000001000200030004000000');
const officialIndex = hex(
  '4d4d4944494458000001000000000000000803000000000000000400000000000000' +
    '030000000200000005000000' +
    '000000000000000006000000000000000a00000000000000' +
    '0000000000000000010000000000000002000000000000000300000000000000',
);

function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

function open(tokens: Uint8Array, index: Uint8Array): Promise<TokenFiles> {
  return openTokens({
    tokens: memorySource(tokens, { name: 'data.bin' }),
    index: memorySource(index, { name: 'data.idx' }),
  });
}

async function write(
  rows: readonly (readonly number[])[],
  vocabularySize: number,
): Promise<{ tokens: Uint8Array; index: Uint8Array }> {
  const [tokens, index] = [memorySink(), memorySink()];
  await using writer = createTokenWriter({ tokens, index, vocabularySize });
  for (const row of rows) {
    await writer.add(row);
    writer.endDocument();
  }
  await writer.close();
  return { tokens: tokens.bytes(), index: index.bytes() };
}

/** `index` with some bytes replaced. */
function patched(at: number, bytes: readonly number[]): Uint8Array {
  const copy = officialIndex.slice();
  copy.set(bytes, at);
  return copy;
}

describe('the token files of RWKV-LM', () => {
  it('are written byte for byte', async () => {
    expect(await write(documents, 65536)).toEqual({ tokens: officialTokens, index: officialIndex });
  });

  it('are read in ranges, by documents too', async () => {
    await using data = await open(officialTokens, officialIndex);
    expect(data).toMatchObject({ tokens: 10, documents: 3, type: 'uint16' });
    expect(data.readMask).toBeUndefined();
    expect([...(await data.read(0, 10))]).toEqual(documents.flat());
    // As its `get(idx=0, offset=2, length=5)` gives.
    expect([...(await data.read(2, 5))]).toEqual([0, 7, 0, 1, 2]);
    expect(await data.read(10, 0)).toHaveLength(0);
    for (const [at, document] of documents.entries()) {
      const { offset, length } = await data.document(at);
      expect([...(await data.read(offset, length))]).toEqual(document);
    }
    await expect(data.read(8, 3)).rejects.toThrow(/tokens 8 to 11 were asked for; there are 10/);
    await expect(data.read(-1, 3)).rejects.toThrow(TypeError);
    await expect(data.document(3)).rejects.toThrow(RangeError);
    await expect(data.read(0, 1, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  it('come back as they were written, in the smallest type', async () => {
    const cases = fc.tuple(
      fc.constantFrom(256, 257, 65536, 65537, 2 ** 31),
      fc.array(fc.array(fc.nat(), { maxLength: 20 }), { maxLength: 20 }),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([vocabularySize, raw]) => {
        const rows = raw.map((row) => row.map((token) => token % vocabularySize));
        const files = await write(rows, vocabularySize);
        const bytes = vocabularySize <= 256 ? 1 : vocabularySize <= 65536 ? 2 : 4;
        expect(files.tokens).toHaveLength(bytes * rows.flat().length);
        await using data = await open(files.tokens, files.index);
        const full = rows.filter((row) => row.length > 0);
        expect(data.documents).toBe(full.length);
        expect([...(await data.read(0, data.tokens))]).toEqual(rows.flat());
        for (const [at, row] of full.entries())
          expect((await data.document(at)).length).toBe(row.length);
      }),
    );
  });

  it('of several items a document, and of other integers, are read', async () => {
    // Two documents of items [1, 2] and [3]; int64.
    const index = patched(17, [5]);
    const view = new DataView(index.buffer);
    [1, 1, 1].forEach((size, at) => {
      view.setInt32(34 + 4 * at, size, true);
    });
    [0, 8, 16].forEach((pointer, at) => {
      view.setBigInt64(46 + 8 * at, BigInt(pointer), true);
    });
    const three = index.slice(0, -8);
    new DataView(three.buffer).setBigUint64(26, 3n, true);
    [0, 2, 3].forEach((first, at) => {
      new DataView(three.buffer).setBigInt64(70 + 8 * at, BigInt(first), true);
    });
    const tokens = new Uint8Array(new BigInt64Array([9n, 70_000n, 3n]).buffer);
    await using data = await open(tokens, three);
    expect(data).toMatchObject({ tokens: 3, documents: 2, type: 'int64' });
    expect([...(await data.read(0, 3))]).toEqual([9, 70_000, 3]);
    expect(await data.document(0)).toEqual({ offset: 0, length: 2 });
    expect(await data.document(1)).toEqual({ offset: 2, length: 1 });
  });

  it('with a mask say what is learned', async () => {
    const sinks = Array.from({ length: 4 }, () => memorySink());
    const writer = createTokenWriter({
      tokens: sinks[0]!,
      index: sinks[1]!,
      vocabularySize: 300,
      openMask: async () => ({ tokens: sinks[2]!, index: sinks[3]! }),
    });
    await writer.add([1, 2]);
    writer.endDocument();
    await writer.add([299], { learned: false });
    await writer.add([4]);
    await writer.close();
    expect(writer).toMatchObject({ tokens: 4, learned: 3, documents: 2 });
    const [tokens, index, maskTokens, maskIndex] = sinks.map((sink) => memorySource(sink.bytes()));
    const mask = { tokens: maskTokens!, index: maskIndex! };
    await using data = await openTokens({ tokens: tokens!, index: index! }, { mask });
    expect([...(await data.readMask!(0, 4))]).toEqual([1, 1, 0, 1]);
    expect([...(await data.readMask!(2, 1))]).toEqual([0]);
    // The mask of other data.
    await expect(
      openTokens(
        { tokens: memorySource(officialTokens), index: memorySource(officialIndex) },
        { mask },
      ),
    ).rejects.toMatchObject({ code: 'TOKEN_FILES_INVALID', expected: 10, got: 4 });
  });

  it('hold only tokens that fit', async () => {
    for (const token of [65536, -1, 1.5, Number.NaN])
      await expect(write([[token]], 65536)).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
    await using data = await openTokens(
      { tokens: memorySource(officialTokens), index: memorySource(officialIndex) },
      { vocabularySize: 65535 },
    );
    await expect(data.read(1, 2)).rejects.toMatchObject({ code: 'TOKEN_INVALID', got: 65535 });
    expect([...(await data.read(2, 3))]).toEqual([0, 7, 0]);
    // int16: the same bytes are -1.
    await using signed = await open(officialTokens, patched(17, [3]));
    await expect(signed.read(0, 2)).rejects.toThrow(/token 1 is -1/);
  });
});

describe('a hostile index', () => {
  const cases: [string, Uint8Array, string][] = [
    ['another magic', patched(0, [0]), 'TOKEN_FILES_INVALID'],
    ['another version', patched(9, [2]), 'TOKEN_FILES_INVALID'],
    ['fractions', patched(17, [6]), 'TOKEN_TYPE_UNSUPPORTED'],
    ['an unknown type', patched(17, [99]), 'TOKEN_TYPE_UNSUPPORTED'],
    [
      'more items than it has room for',
      patched(18, [255, 255, 255, 255, 255, 255, 255, 255]),
      'TOKEN_FILES_INVALID',
    ],
    [
      'more documents than it has room for',
      patched(26, [0, 0, 0, 0, 0, 0, 0, 64]),
      'TOKEN_FILES_INVALID',
    ],
    ['an item of less than nothing', patched(34, [255, 255, 255, 255]), 'TOKEN_FILES_INVALID'],
    ['an item too long', patched(42, [6]), 'TOKEN_FILES_INVALID'],
    ['a pointer elsewhere', patched(54, [4]), 'TOKEN_FILES_INVALID'],
    ['a document before the one before it', patched(86, [0]), 'TOKEN_FILES_INVALID'],
    ['a first document that begins later', patched(70, [1]), 'TOKEN_FILES_INVALID'],
    ['items that no document has', patched(94, [2]), 'TOKEN_FILES_INVALID'],
    ['a cut', officialIndex.slice(0, -1), 'TOKEN_FILES_INVALID'],
    ['a cut header', officialIndex.slice(0, 30), 'TOKEN_FILES_INVALID'],
    ['nothing', new Uint8Array(0), 'TOKEN_FILES_INVALID'],
  ];

  it.each(cases)('with %s is refused', async (_, index, code) => {
    await expect(open(officialTokens, index)).rejects.toMatchObject({ code });
  });

  it('and tokens of another pair are refused, and everything closed', async () => {
    let closed = 0;
    const closing = (bytes: Uint8Array): ByteSource => ({
      ...memorySource(bytes),
      async [Symbol.asyncDispose]() {
        closed++;
      },
    });
    const opening = openTokens({
      tokens: closing(officialTokens.slice(2)),
      index: closing(officialIndex),
    });
    await expect(opening).rejects.toMatchObject({ expected: 20, got: 18 });
    expect(closed).toBe(2);
  });

  it('never gives anything but a typed error or what was written', async () => {
    const mutations = fc.array(
      fc.tuple(fc.nat(officialIndex.length - 1), fc.integer({ min: 0, max: 255 })),
      { minLength: 1, maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(mutations, async (changes) => {
        const index = officialIndex.slice();
        for (const [at, byte] of changes) index[at] = byte;
        try {
          await using data = await open(officialTokens, index);
          await data.read(0, data.tokens);
          for (let at = 0; at < data.documents; at++) await data.document(at);
        } catch (error) {
          expect(RwkvError.isInstance(error) ? '' : String(error)).toBe('');
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('token files on disk', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rwkv-train-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('appear whole or not at all, and an old mask does not stay', async () => {
    const prefix = join(folder, 'data');
    {
      await using abandoned = await createTokenFiles(prefix, { vocabularySize: 65536 });
      await abandoned.add([1, 2, 3]);
      await abandoned.add([1], { learned: false });
    }
    expect(await readdir(folder)).toEqual([]);
    const first = await createTokenFiles(prefix, { vocabularySize: 65536 });
    await first.add([1], { learned: false });
    await first.add([2]);
    expect(await readdir(folder)).not.toContain('data.bin');
    await first.close();
    expect((await readdir(folder)).sort()).toEqual([
      'data.bin',
      'data.idx',
      'data.mask.bin',
      'data.mask.idx',
    ]);
    {
      await using data = await openTokenFiles(prefix);
      expect([...(await data.readMask!(0, 2))]).toEqual([0, 1]);
    }
    const second = await createTokenFiles(prefix, { vocabularySize: 65536 });
    for (const document of documents) {
      await second.add(document);
      second.endDocument();
    }
    await second.close();
    expect((await readdir(folder)).sort()).toEqual(['data.bin', 'data.idx']);
    expect(new Uint8Array(await readFile(`${prefix}.idx`))).toEqual(officialIndex);
    await using data = await openTokenFiles(`${prefix}.bin`);
    expect(data.readMask).toBeUndefined();
    expect(data.documents).toBe(3);
  });

  it('that are not there, or half there, are said by name', async () => {
    await expect(openTokenFiles(join(folder, 'none'))).rejects.toThrow(/none\.bin/);
    await writeFile(join(folder, 'half.bin'), officialTokens);
    await expect(openTokenFiles(join(folder, 'half'))).rejects.toThrow(/half\.idx/);
  });
});
