import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ByteSource } from '@rwkv-ts/weights';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type DownloadProgress,
  type HubNotice,
  type ModelCache,
  type ResolveOptions,
  createModelCache,
  downloadModel,
  resolveModel,
} from '../src/index.node.js';
import { expectFailure } from './expect-failure.js';
import { type TestHub, commit, sample, sha256, startTestHub } from './test-hub.js';

const model = sample(300_000);
const name = 'owner/repo:model.pth';
let hub: TestHub;
let folder: string;
let cache: ModelCache;
let notices: HubNotice[];
let options: ResolveOptions & { cache: ModelCache; hubUrl: string };

beforeEach(async () => {
  hub = await startTestHub();
  hub.repositories.set('owner/repo', new Map([['model.pth', { bytes: model, lfs: true }]]));
  folder = await mkdtemp(join(tmpdir(), 'hub-cache-'));
  cache = createModelCache({ folder });
  notices = [];
  options = {
    cache,
    hubUrl: hub.url,
    network: { retries: 2, retryDelay: 5, stallTimeout: 500 },
    onNotice: (notice) => notices.push(notice),
  };
});

afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function bytesOf(opening: Promise<ByteSource>): Promise<Uint8Array> {
  await using source = await opening;
  return await source.read(0, source.size);
}

async function expectModel(given: Partial<ResolveOptions> = {}, bytes = model): Promise<void> {
  const read = await bytesOf(resolveModel('owner/repo', { ...options, ...given }));
  expect(Buffer.compare(read, bytes)).toBe(0);
}

describe('a model in the cache', () => {
  it('is downloaded once and lies there as a plain file', async () => {
    await using opened = await resolveModel('owner/repo', options);
    expect(opened.path).toBe(opened.name);
    expect(Buffer.compare(await readFile(opened.path!), model)).toBe(0);
    expect(hub.downloads()).toHaveLength(1);
    await expectModel();
    expect(hub.downloads()).toHaveLength(1);
    expect(await cache.list()).toEqual([
      {
        id: opened.cached![0]!.id,
        name,
        reference: `${name}@${commit}`,
        received: model.length,
        size: model.length,
        state: 'verified',
        files: [
          expect.objectContaining({ name: 'model.pth', path: opened.path, state: 'verified' }),
        ],
      },
    ]);
    expect((await cache.usage()).used).toBe(model.length);
  });

  it('is asked for once a commit is known, and not at all when offline', async () => {
    await expectModel();
    const asked = hub.seen.length;
    await expectModel();
    expect(hub.seen.slice(asked).map(({ path }) => path)).toEqual([
      expect.stringContaining('/revision/main'),
    ]);
    hub.seen.length = 0;
    await expectModel({ offline: true });
    expect(hub.seen).toEqual([]);
    expect(notices).toEqual([]);
  });

  it('opens at the last known commit when the hub is away, and says so', async () => {
    await expectModel();
    await hub[Symbol.asyncDispose]();
    await expectModel();
    expect(notices.map(({ code }) => code)).toEqual(['LAST_KNOWN_COMMIT']);
    expect(notices[0]!.message).toContain('cccccccccccc');
    const never = await expectFailure(resolveModel('owner/repo@other', options));
    expect(never.code).toBe('OFFLINE');
  });

  it('opens by the reference that is listed, whatever it was asked for by', async () => {
    hub.commits.set('v1', 'f'.repeat(40));
    await bytesOf(resolveModel('owner/repo@v1', options));
    const [held] = await cache.list();
    expect(held!.reference).toBe(`${name}@${'f'.repeat(40)}`);
    const unknown = await expectFailure(resolveModel(name, { ...options, offline: true }));
    expect(unknown.code).toBe('OFFLINE');
    const read = await bytesOf(resolveModel(held!.reference, { ...options, offline: true }));
    expect(Buffer.compare(read, model)).toBe(0);
  });

  it('stays when its branch moves and its bytes do not', async () => {
    await expectModel();
    hub.commits.set('main', 'd'.repeat(40));
    await expectModel();
    expect(hub.downloads()).toHaveLength(1);
    const changed = sample(1000, 7);
    hub.repositories.get('owner/repo')!.set('model.pth', { bytes: changed, lfs: true });
    hub.commits.set('main', 'e'.repeat(40));
    await expectModel({}, changed);
    expect(hub.downloads()).toHaveLength(2);
    expect((await cache.list()).map((each) => each.name)).toEqual([name, name]);
  });

  it('is hashed again only when its date changed', async () => {
    const { path = '' } = await downloadFirst();
    const phases: string[] = [];
    const onProgress = ({ phase }: DownloadProgress): void => {
      phases.push(phase);
    };
    await expectModel({ onProgress });
    expect(phases).toEqual([]);
    await utimes(path, 1, 1);
    await expectModel({ onProgress });
    expect(new Set(phases)).toEqual(new Set(['check']));
    phases.length = 0;
    await expectModel({ onProgress });
    expect(phases).toEqual([]);
    expect(hub.downloads()).toHaveLength(1);
  });

  it('is downloaded again when it was damaged', async () => {
    const { path = '' } = await downloadFirst();
    const damaged = Uint8Array.from(model);
    damaged[1000]! ^= 1;
    await writeFile(path, damaged);
    const offline = await expectFailure(resolveModel('owner/repo', { ...options, offline: true }));
    expect(offline.code).toBe('OFFLINE');
    expect((await cache.list())[0]!.state).toBe('damaged');
    await expectModel();
    expect(notices.map(({ code }) => code)).toContain('REPAIRED');
    expect(hub.downloads()).toHaveLength(2);
  });

  it('is verified on demand, whatever its date says', async () => {
    const { path = '' } = await downloadFirst();
    expect(await cache.verify(name)).toEqual([
      { intact: true, file: expect.objectContaining({ state: 'verified' }) as unknown },
    ]);
    const damaged = Uint8Array.from(model);
    damaged[model.length - 1]! ^= 1;
    const { stat } = await import('node:fs/promises');
    const before = await stat(path);
    await writeFile(path, damaged);
    await utimes(path, before.atimeMs / 1000, before.mtimeMs / 1000);
    expect((await cache.verify(name))[0]!.intact).toBe(false);
    await expectModel();
    expect(hub.downloads()).toHaveLength(2);
  });

  it('is removed by id, name and repository', async () => {
    for (const which of [(await downloadModel('owner/repo', options)).id, name, 'owner/repo']) {
      await expectModel();
      expect(await cache.remove(which)).toBe(model.length);
      expect(await cache.list()).toEqual([]);
      expect((await cache.usage()).used).toBe(0);
    }
    await expectModel();
    expect(await cache.remove('owner/re')).toBe(0);
    expect(await cache.clear()).toBe(model.length);
    const offline = await expectFailure(resolveModel('owner/repo', { ...options, offline: true }));
    expect(offline.code).toBe('OFFLINE');
  });
});

async function downloadFirst() {
  const { files } = await downloadModel('owner/repo', options);
  return files[0]!;
}

describe('a model of several files', () => {
  const sharded = 'owner/sharded:sub/model.safetensors.index.json';
  const shards = [sample(50_000, 2), sample(60_000, 3)];
  const index = Buffer.from(
    JSON.stringify({
      weight_map: { a: 'm-1.safetensors', b: 'm-2.safetensors', c: 'm-1.safetensors' },
    }),
  );

  beforeEach(() => {
    hub.repositories.set(
      'owner/sharded',
      new Map([
        ['sub/model.safetensors.index.json', { bytes: index }],
        ['sub/m-1.safetensors', { bytes: shards[0]!, lfs: true }],
        ['sub/m-2.safetensors', { bytes: shards[1]!, lfs: true }],
        ['sub/config.json', { bytes: Buffer.from('{"model_type":"rwkv7"}') }],
      ]),
    );
  });

  it('is downloaded whole, is one model, and opens offline', async () => {
    const seen: DownloadProgress[] = [];
    const held = await downloadModel(sharded, { ...options, onProgress: (one) => seen.push(one) });
    expect(held.files.map((file) => file.name).sort()).toEqual([
      'sub/config.json',
      'sub/m-1.safetensors',
      'sub/m-2.safetensors',
      'sub/model.safetensors.index.json',
    ]);
    expect(held.state).toBe('verified');
    expect(Math.max(...seen.map(({ done }) => done))).toBe(110_000 + index.length);
    await hub[Symbol.asyncDispose]();
    await using opened = await resolveModel(sharded, { ...options, offline: true });
    const second = await bytesOf(opened.openSibling('m-2.safetensors'));
    expect(Buffer.compare(second, shards[1]!)).toBe(0);
    expect((await bytesOf(opened.openSibling('config.json'))).length).toBeGreaterThan(0);
    expect(await cache.remove(sharded)).toBeGreaterThan(110_000);
    expect(await cache.list()).toEqual([]);
  });

  it('goes on with the shards that are missing, and counts those that are here', async () => {
    hub.handler = (request, response, behave) => {
      if (request.url?.includes('m-2') === true) response.writeHead(404).end();
      else behave();
    };
    expect((await expectFailure(downloadModel(sharded, options))).code).toBe('NOT_FOUND');
    expect((await cache.list())[0]).toMatchObject({
      name: sharded,
      received: 50_000 + index.length,
    });
    hub.handler = undefined;
    hub.seen.length = 0;
    const seen: DownloadProgress[] = [];
    await downloadModel(sharded, { ...options, onProgress: (one) => seen.push(one) });
    expect(hub.downloads().map(({ path }) => path.split('/').at(-1))).toEqual([
      'm-2.safetensors',
      'config.json',
    ]);
    const last = seen.filter(({ file }) => file.endsWith('m-2.safetensors')).at(-1)!;
    expect([last.done, last.total]).toEqual([110_000 + index.length, 110_000 + index.length]);
  });

  it('says which shard is missing', async () => {
    hub.repositories.get('owner/sharded')!.delete('sub/m-2.safetensors');
    const error = await expectFailure(downloadModel(sharded, options));
    expect([error.code, error.got]).toEqual(['NOT_FOUND', 'm-2.safetensors']);
  });

  it('knows offline that there was no configuration', async () => {
    hub.repositories.get('owner/sharded')!.delete('sub/config.json');
    await downloadModel(sharded, options);
    await using opened = await resolveModel(sharded, { ...options, offline: true });
    expect((await expectFailure(opened.openSibling('config.json'))).code).toBe('NOT_FOUND');
  });
});

describe('a URL in the cache', () => {
  const read = (given: Partial<ResolveOptions> = {}): Promise<Uint8Array> =>
    bytesOf(resolveModel(`${hub.url}/dir/a%20file.gguf?token=secret`, { ...options, ...given }));

  beforeEach(() => {
    hub.files.set('/dir/a file.gguf', { bytes: model, etag: '"1"' });
  });

  it('is downloaded once while it stays the same', async () => {
    expect(Buffer.compare(await read(), model)).toBe(0);
    expect(Buffer.compare(await read(), model)).toBe(0);
    expect(hub.downloads().map(({ range }) => range)).toEqual(['bytes=0-', 'bytes=0-0']);
    const changed = sample(1000, 9);
    hub.files.set('/dir/a file.gguf', { bytes: changed, etag: '"2"' });
    expect(Buffer.compare(await read(), changed)).toBe(0);
    const listed = await cache.list();
    expect(listed).toHaveLength(1);
    expect(listed[0]!.name).toBe(`${hub.url}/dir/a%20file.gguf`);
    expect(JSON.stringify(listed)).not.toContain('secret');
  });

  it('is told by its size alone where the server says no more', async () => {
    hub.files.set('/dir/a file.gguf', { bytes: model });
    await read();
    await read();
    expect(hub.downloads()).toHaveLength(2);
    const changed = sample(1000, 9);
    hub.files.set('/dir/a file.gguf', { bytes: changed });
    expect(Buffer.compare(await read(), changed)).toBe(0);
  });

  it('stays when its new version cannot be had', async () => {
    await read();
    hub.files.set('/dir/a file.gguf', { bytes: sample(1000, 9), etag: '"2"' });
    let asked = 0;
    hub.handler = (_request, response, behave) => {
      if (asked++ === 0) behave();
      else response.writeHead(403).end();
    };
    expect((await expectFailure(read())).code).toBe('ACCESS_DENIED');
    expect(Buffer.compare(await read({ offline: true }), model)).toBe(0);
  });

  it('opens when its server is away, and says so', async () => {
    await read();
    await hub[Symbol.asyncDispose]();
    expect(Buffer.compare(await read(), model)).toBe(0);
    expect(notices.map(({ code }) => code)).toEqual(['NOT_REVALIDATED']);
    notices = [];
    await read({ offline: true });
    expect(notices).toEqual([]);
  });

  it('needs no server when its hash is given', async () => {
    await read({ sha256: sha256(model) });
    hub.seen.length = 0;
    await read({ sha256: sha256(model).toUpperCase() });
    expect(hub.seen).toEqual([]);
    const wrong = await expectFailure(read({ sha256: 'a'.repeat(64) }));
    expect([wrong.code, wrong.got]).toEqual(['HASH_MISMATCH', sha256(model)]);
    await expect(read({ sha256: 'abc' })).rejects.toThrow(TypeError);
  });

  it('with a password in it is refused', async () => {
    const error = await expectFailure(
      resolveModel(`http://me:it@127.0.0.1:${hub.port}/x`, options),
    );
    expect(error.code).toBe('REFERENCE_INVALID');
    expect(error.message).not.toContain('me:it');
  });
});
