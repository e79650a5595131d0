import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { countingSource } from '../../test/fuzz/check-input.js';
import { Random } from '../../test/fuzz/random.js';
import type { ByteSource } from '../byte-source.js';
import { blobSource } from './blob-source.js';
import { bufferedReader } from './buffered-reader.js';
import { cachedSource } from './cached-source.js';
import { fileSink } from './file-sink.node.js';
import { fileSource } from './file-source.node.js';
import { memorySink } from './memory-sink.js';
import { memorySource } from './memory-source.js';

const bytes = new Random(1).bytes(5000);
let folder = '';
const path = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-sources-'));
  await writeFile(path('whole'), bytes);
});
afterAll(() => rm(folder, { recursive: true }));

const makers: readonly (readonly [string, () => Promise<ByteSource>])[] = [
  ['memory', async () => memorySource(bytes, { name: 'm' })],
  [
    'a Node Buffer',
    // Its slice() shares memory.
    async () => memorySource(Buffer.from(bytes)),
  ],
  [
    'a view into memory',
    async () => memorySource(new Uint8Array([0, ...bytes, 0]).subarray(1, -1)),
  ],
  ['a Blob', async () => blobSource(new Blob([bytes]))],
  ['a file', async () => fileSource(path('whole'))],
  ['a file by its URL', async () => fileSource(pathToFileURL(path('whole')))],
  ['a cache', async () => cachedSource(memorySource(bytes), { blockBytes: 64, blocks: 4 })],
];

describe.each(makers)('%s', (_, make) => {
  it('reads exactly what is asked for', async () => {
    await using source = await make();
    const random = new Random(2);
    expect(source.size).toBe(bytes.length);
    for (let i = 0; i < 300; i++) {
      const offset = random.below(bytes.length + 1);
      const length = random.below(Math.min(400, bytes.length - offset) + 1);
      expect(await source.read(offset, length)).toEqual(bytes.slice(offset, offset + length));
    }
    expect(await source.read(0, bytes.length)).toEqual(bytes);
  });

  it('gives arrays away', async () => {
    await using source = await make();
    const first = await source.read(10, 20);
    first.fill(0);
    expect(await source.read(10, 20)).toEqual(bytes.slice(10, 30));
  });

  it('refuses ranges outside, wrong arguments, and work after an abort', async () => {
    await using source = await make();
    await expectCode(source.read(0, bytes.length + 1), 'READ_OUT_OF_RANGE', /5001.*5000/);
    await expectCode(source.read(bytes.length, 1), 'READ_OUT_OF_RANGE');
    await expectCode(source.read(0, 2 ** 50), 'READ_OUT_OF_RANGE');
    await expect(source.read(-1, 1)).rejects.toThrow(TypeError);
    await expect(source.read(0, 0.5)).rejects.toThrow(TypeError);
    await expect(source.read(Number.NaN, 1)).rejects.toThrow(TypeError);
    await expectCode(source.read(0, 1, { signal: AbortSignal.abort() }), 'ABORTED');
  });
});

describe('fileSource', () => {
  it('refuses a URL that is not of a file', async () => {
    await expect(fileSource(new URL('https://example.org/model.pth'))).rejects.toThrow(TypeError);
  });

  it('explains what cannot be opened', async () => {
    await expectCode(fileSource(path('missing')), 'SOURCE_FAILED', /ENOENT/);
    await expectCode(fileSource(folder), 'CONTAINER_UNKNOWN', /is a directory/);
    await expectCode(fileSource('/dev/null'), 'CONTAINER_UNKNOWN', /not a regular file/);
  });

  it('says so when the file shrinks, and when it was disposed of', async () => {
    await writeFile(path('shrinking'), bytes);
    const source = await fileSource(path('shrinking'));
    await truncate(path('shrinking'), 100);
    await expectCode(source.read(50, 100), 'SOURCE_FAILED', /shrank/);
    await source[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await expectCode(source.read(0, 1), 'SOURCE_FAILED', /disposed/);
  });
});

describe('blobSource', () => {
  it('takes the name of a File', () => {
    expect(blobSource(new File([bytes], 'model.pth')).name).toBe('model.pth');
    expect(blobSource(new Blob([bytes])).name).toBe('blob');
    expect(blobSource(new Blob([bytes]), { name: 'other' }).name).toBe('other');
  });

  it('reports a file that went away', async () => {
    const blob = new Blob([bytes]);
    const gone = {
      size: bytes.length,
      slice: () => ({ arrayBuffer: async () => Promise.reject(new Error('NotReadableError')) }),
    };
    expect(blob.size).toBe(gone.size);
    await expectCode(
      blobSource(gone as unknown as Blob).read(0, 1),
      'SOURCE_FAILED',
      /moved or removed/,
    );
  });
});

describe('cachedSource', () => {
  const blockBytes = 64;
  const cached = (blocks = 16) => {
    const source = countingSource(bytes);
    let requests = 0;
    const counted: ByteSource = {
      ...source,
      read: (offset, length, options) => {
        requests++;
        return source.read(offset, length, options);
      },
    };
    return {
      source: cachedSource(counted, { blockBytes, blocks }),
      requests: () => requests,
      inner: source,
    };
  };

  it('serves many small reads with few requests', async () => {
    const { source, requests } = cached();
    for (let at = 0; at + 10 <= bytes.length; at += 10) {
      expect(await source.read(at, 10)).toEqual(bytes.slice(at, at + 10));
    }
    // 79 blocks; runs of 1, 2, 4, 8, 8, … of them.
    expect(requests()).toBeLessThan(14);
  });

  it('costs one block for a lone read', async () => {
    const { source, inner } = cached();
    await source.read(1000, 4);
    await source.read(3000, 4);
    expect(inner.requested).toBe(2 * blockBytes);
  });

  it('lets a large read straight through, so that it is held once', async () => {
    const { source, inner, requests } = cached();
    await source.read(1000, 4);
    const before = { bytes: inner.requested, requests: requests() };
    expect(await source.read(1000, 2000)).toEqual(bytes.slice(1000, 3000));
    expect(inner.requested - before.bytes).toBe(2000);
    expect(requests() - before.requests).toBe(1);
    await source.read(1000, 4);
    expect(requests() - before.requests).toBe(1);
  });

  it('holds no more than it may', async () => {
    const { source, requests } = cached(2);
    for (const at of [0, 1000, 2000, 0]) await source.read(at, 4);
    expect(requests()).toBe(4);
    await source.read(2000, 4);
    expect(requests()).toBe(4);
  });

  it('shares requests between concurrent readers, and gives no failure to the next', async () => {
    const { source, requests } = cached();
    await Promise.all([source.read(0, 4), source.read(8, 4), source.read(0, 30)]);
    expect(requests()).toBe(1);
    let failures = 1;
    const flaky: ByteSource = {
      ...memorySource(bytes),
      read: async (offset, length) => {
        if (failures-- > 0) throw new TypeError('flaky');
        return bytes.slice(offset, offset + length);
      },
    };
    const recovering = cachedSource(flaky, { blockBytes });
    await expect(recovering.read(0, 4)).rejects.toThrow('flaky');
    expect(await recovering.read(0, 4)).toEqual(bytes.slice(0, 4));
  });

  it('does not let one reader abort another', async () => {
    const abort = new AbortController();
    const slow: ByteSource = {
      ...memorySource(bytes, { name: 'slow' }),
      read: async (offset, length, options = {}) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return memorySource(bytes, { name: 'slow' }).read(offset, length, options);
      },
    };
    const source = cachedSource(slow, { blockBytes });
    const first = source.read(0, 4, { signal: abort.signal });
    const second = source.read(4, 4);
    abort.abort();
    await expectCode(first, 'ABORTED');
    expect(await second).toEqual(bytes.slice(4, 8));
  });

  it('refuses senseless sizes', () => {
    expect(() => cachedSource(memorySource(bytes), { blockBytes: 0 })).toThrow(TypeError);
    expect(() => cachedSource(memorySource(bytes), { blocks: 1 })).toThrow(TypeError);
  });
});

describe('bufferedReader', () => {
  it('reads fields, runs and skips with a bounded buffer', async () => {
    const source = countingSource(bytes);
    const reader = bufferedReader(source, { offset: 3, bufferBytes: 50 });
    const view = new DataView(bytes.buffer);
    expect(await reader.u8()).toBe(view.getUint8(3));
    expect(await reader.u16()).toBe(view.getUint16(4, true));
    expect(await reader.u32()).toBe(view.getUint32(6, true));
    expect(await reader.i32()).toBe(view.getInt32(10, true));
    expect(await reader.u64()).toBe(view.getBigUint64(14, true));
    expect(await reader.bytes(40)).toEqual(bytes.slice(22, 62));
    expect(await reader.bytes(200)).toEqual(bytes.slice(62, 262));
    reader.skip(1000);
    expect(reader).toMatchObject({ position: 1262, remaining: bytes.length - 1262 });
    expect(await reader.u8()).toBe(bytes[1262]);
    expect(source.requested).toBeLessThan(400);
  });

  it('refuses to leave the source, before it allocates', async () => {
    const reader = bufferedReader(memorySource(bytes), { offset: bytes.length - 3 });
    await expectCode(reader.u32(), 'READ_OUT_OF_RANGE');
    await expectCode(reader.bytes(2 ** 40), 'READ_OUT_OF_RANGE');
    await expectCode(() => {
      reader.skip(4);
    }, 'READ_OUT_OF_RANGE');
    expect(await reader.bytes(3)).toEqual(bytes.slice(-3));
    expect(reader.remaining).toBe(0);
  });
});

describe('fileSink', () => {
  it('writes to a file URL', async () => {
    await using sink = await fileSink(pathToFileURL(path('by URL')));
    await sink.write(bytes);
    await sink.close();
    expect(new Uint8Array(await readFile(path('by URL')))).toEqual(bytes);
    await rm(path('by URL'));
  });

  it('puts the whole file in place when it closes, not before', async () => {
    await writeFile(path('out'), 'old');
    await using sink = await fileSink(path('out'));
    const part = bytes.slice(0, 2000);
    await sink.write(part);
    await sink.write(bytes.subarray(2000));
    expect(await readFile(path('out'), 'utf8')).toBe('old');
    await sink.close();
    expect(new Uint8Array(await readFile(path('out')))).toEqual(bytes);
    await expectCode(sink.write(bytes), 'SINK_FAILED', /closed/);
    await expectCode(sink.close(), 'SINK_FAILED', /closed/);
  });

  it('leaves nothing behind when it is disposed of instead', async () => {
    const before = await readdir(folder);
    const sink = await fileSink(path('never'));
    await sink.write(bytes);
    expect(await readdir(folder)).toHaveLength(before.length + 1);
    await sink[Symbol.asyncDispose]();
    await sink[Symbol.asyncDispose]();
    expect(await readdir(folder)).toEqual(before);
    await expectCode(sink.write(bytes), 'SINK_FAILED', /disposed/);
  });

  it('reports what cannot be written', async () => {
    await expectCode(fileSink(path('missing/file')), 'SINK_FAILED', /ENOENT/);
    const ontoFolder = await fileSink(folder);
    await expectCode(ontoFolder.close(), 'SINK_FAILED');
    await ontoFolder[Symbol.asyncDispose]();
  });
});

describe('memorySink', () => {
  it('collects copies', async () => {
    const sink = memorySink();
    const part = Uint8Array.of(1, 2);
    await sink.write(part);
    part.fill(9);
    await sink.write(Uint8Array.of(3));
    await expectCode(() => sink.bytes(), 'SINK_FAILED');
    await sink.close();
    expect(sink.bytes()).toEqual(Uint8Array.of(1, 2, 3));
    await expectCode(sink.write(part), 'SINK_FAILED');
  });
});
