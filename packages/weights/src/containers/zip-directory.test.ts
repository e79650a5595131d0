import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { writeZip } from '../../test/writers/zip.js';
import { memorySource } from '../sources/memory-source.js';
import { readZipDirectory } from './zip-directory.js';
import { readEntryRange } from './zip-entry.js';

const files = [
  { name: 'a', bytes: Uint8Array.of(1, 2, 3) },
  { name: 'folder/b', bytes: new Uint8Array(1000).fill(7), method: 'deflated' as const },
  { name: 'empty', bytes: new Uint8Array(0) },
];
const zip = writeZip(files);
const directory = (bytes: Uint8Array) => readZipDirectory(memorySource(bytes));
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);
const endAt = (bytes: Uint8Array) => bytes.length - 22;
const centralAt = (bytes: Uint8Array) => view(bytes).getUint32(endAt(bytes) + 16, true);

/** A copy with fields of its first directory entry changed. */
function lying(change: (view: DataView, entry: number) => void, original = zip): Uint8Array {
  const copy = original.slice();
  change(view(copy), centralAt(copy));
  return copy;
}

async function readAll(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const source = memorySource(bytes);
  const entry = (await readZipDirectory(source)).get(name)!;
  return readEntryRange({ source, entry, offset: 0, length: entry.size });
}

describe('zip', () => {
  it.each(['plain', 'zip64'] as const)('reads entries (%s)', async (form) => {
    const bytes = writeZip(files, { form, alignment: 64 });
    for (const file of files) expect(await readAll(bytes, file.name)).toEqual(file.bytes);
    expect([...(await directory(bytes)).keys()]).toEqual(files.map(({ name }) => name));
  });

  it('reads part of an entry', async () => {
    const source = memorySource(zip);
    const entries = await readZipDirectory(source);
    const part = (name: string) =>
      readEntryRange({ source, entry: entries.get(name)!, offset: 1, length: 2 });
    expect(await part('a')).toEqual(Uint8Array.of(2, 3));
    expect(await part('folder/b')).toEqual(Uint8Array.of(7, 7));
    const beyond = readEntryRange({ source, entry: entries.get('a')!, offset: 2, length: 2 });
    await expectCode(beyond, 'CONTAINER_INVALID');
  });

  it('finds the end record behind a comment that holds its signature', async () => {
    const comment = Uint8Array.from([0x50, 0x4b, 5, 6, ...new Array<number>(30).fill(0)]);
    const bytes = new Uint8Array([...zip, ...comment]);
    view(bytes).setUint16(zip.length - 2, comment.length, true);
    expect((await directory(bytes)).size).toBe(3);
  });

  it('refuses duplicate names', async () => {
    await expectCode(
      directory(writeZip([files[0]!, files[0]!])),
      'CONTAINER_INVALID',
      /two entries/,
    );
  });

  it.each([
    [
      'an entry over the next one',
      (v: DataView, at: number) => {
        v.setUint32(at + 20, 900, true);
        v.setUint32(at + 24, 900, true);
      },
    ],
    [
      'an entry outside the file',
      (v: DataView, at: number) => {
        v.setUint32(at + 42, 0x7fffffff, true);
      },
    ],
    [
      'an entry in the middle of another',
      (v: DataView, at: number) => {
        v.setUint32(at + 42, 40, true);
      },
    ],
    [
      'two sizes for a stored entry',
      (v: DataView, at: number) => {
        v.setUint32(at + 24, 2, true);
      },
    ],
    [
      'a missing zip64 size',
      (v: DataView, at: number) => {
        v.setUint32(at + 24, 0xffffffff, true);
      },
    ],
  ])('refuses %s', async (_, change) => {
    await expectCode(directory(lying(change)), 'CONTAINER_INVALID');
  });

  it('refuses encryption and other compression by name', async () => {
    await expectCode(
      directory(
        lying((v, at) => {
          v.setUint16(at + 8, 1, true);
        }),
      ),
      'CONTAINER_UNSUPPORTED',
      /encrypted/,
    );
    await expectCode(
      directory(
        lying((v, at) => {
          v.setUint16(at + 10, 14, true);
        }),
      ),
      'CONTAINER_UNSUPPORTED',
      /method 14/,
    );
  });

  it('refuses an end record that counts or measures wrongly', async () => {
    for (const [at, value] of [
      [8, 2],
      [10, 2],
      [12, 10],
      [16, 0],
    ] as const) {
      const copy = zip.slice();
      view(copy).setUint16(endAt(copy) + at, value, true);
      await expect(directory(copy), `field ${at}`).rejects.toMatchObject({
        code: expect.stringMatching(/^CONTAINER_/) as string,
      });
    }
  });

  it('refuses a local header of another name, and one that reaches into the next entry', async () => {
    const renamed = zip.slice();
    renamed[30] = 'z'.charCodeAt(0);
    await expectCode(readAll(renamed, 'a'), 'CONTAINER_INVALID', /calls itself/);
    const longer = zip.slice();
    view(longer).setUint16(28, 500, true);
    await expectCode(readAll(longer, 'a'), 'CONTAINER_INVALID', /next one/);
  });
});

describe('zip bombs', () => {
  const megabytes = 32;
  const zeros = new Uint8Array(megabytes * 1024 * 1024);

  it('refuses entries that claim far more than the file', async () => {
    const bomb = writeZip([{ name: 'a', bytes: zeros, method: 'deflated' }]);
    expect(bomb.length).toBeLessThan(64 * 1024);
    await expectCode(directory(bomb), 'CONTAINER_INVALID', /100 times/);
  });

  it('stops inflating at the claimed size', async () => {
    const bomb = lying(
      (v, at) => {
        v.setUint32(at + 24, 100, true);
      },
      writeZip([{ name: 'a', bytes: zeros, method: 'deflated' }]),
    );
    const before = process.memoryUsage().arrayBuffers;
    await expectCode(readAll(bomb, 'a'), 'CONTAINER_INVALID', /more than the 100 bytes/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(zeros.length / 2);
  });

  it('refuses an entry that inflates to less than it claims, and broken data', async () => {
    const deflated = writeZip([
      { name: 'a', bytes: new Uint8Array(5000).map((_, i) => i * i), method: 'deflated' },
    ]);
    await expectCode(
      readAll(
        lying((v, at) => {
          v.setUint32(at + 24, 6000, true);
        }, deflated),
        'a',
      ),
      'CONTAINER_INVALID',
      /inflates to 5000/,
    );
    const broken = deflated.slice();
    broken.fill(0xff, 40, 60);
    await expectCode(readAll(broken, 'a'), 'CONTAINER_INVALID');
    expect(deflateRawSync(zeros).length).toBeLessThan(64 * 1024);
  });

  it('refuses entries that share their bytes', async () => {
    // The classic bomb without nesting: many directory entries, one run of bytes.
    const two = writeZip([
      { name: 'a', bytes: zeros.subarray(0, 1000) },
      { name: 'b', bytes: zeros.subarray(0, 1000) },
    ]);
    const copy = two.slice();
    const second = centralAt(copy) + 47;
    view(copy).setUint32(second + 42, 0, true);
    await expectCode(directory(copy), 'CONTAINER_INVALID', /overlaps/);
  });
});
