/** Disks that are full, read-only or slow, and a browser's file system that is made up, under the same cache. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultCacheFolder } from '../src/cache/cache-folder.node.js';
import { opfsStorage } from '../src/cache/opfs-storage.js';
import { safeName } from '../src/cache/record.js';
import {
  type ResolveOptions,
  createCacheOn,
  createModelCache,
  resolveModel,
} from '../src/index.node.js';
import { createModelCache as createBrowserCache } from '../src/index.js';
import { type CacheSetup, setUpCache } from './cache-setup.js';
import { expectFailure } from './expect-failure.js';
import { type FakeBrowser, fakeBrowser } from './fake-browser.js';
import { sample } from './test-hub.js';

const model = sample(2_000_000, 21);
const name = 'owner/repo:model.pth';
let setup: CacheSetup;

beforeEach(async () => {
  setup = await setUpCache();
  setup.hub.repositories.set('owner/repo', new Map([['model.pth', { bytes: model, lfs: true }]]));
});

afterEach(() => setup[Symbol.asyncDispose]());

async function expectModel(given: Partial<ResolveOptions> = {}): Promise<void> {
  expect(Buffer.compare(await setup.read(name, given), model)).toBe(0);
}

describe('a disk', () => {
  const disk = tinyDisk();
  afterAll(() => disk?.unmount());

  it.skipIf(disk === undefined)(
    'that is too small is told before anything is fetched',
    async () => {
      const cache = createModelCache({ folder: join(disk!.folder, 'models') });
      const error = await expectFailure(setup.read(name, { cache }));
      expect([error.code, error.got]).toEqual(['STORAGE_FULL', model.length]);
      expect(Number(error.expected)).toBeLessThan(model.length);
      expect(setup.hub.downloads()).toEqual([]);
    },
  );

  it.skipIf(disk === undefined)(
    'that fills up meanwhile ends the download, which goes on later',
    async () => {
      const small = sample(600_000, 4);
      setup.hub.repositories.set(
        'owner/repo',
        new Map([['model.pth', { bytes: small, lfs: true }]]),
      );
      const filler = join(disk!.folder, 'filler');
      const cache = createModelCache({ folder: join(disk!.folder, 'others') });
      setup.hub.handler = (request, response, behave) => {
        if (request.url?.includes('/resolve/') !== true) {
          behave();
          return;
        }
        response.writeHead(206, {
          'content-range': `bytes 0-${small.length - 1}/${small.length}`,
        });
        response.write(small.subarray(0, 100_000));
        // Once the room was found enough.
        void until(async () => ((await cache.list())[0]?.received ?? 0) > 0)
          .then(() => writeFile(filler, Buffer.alloc(2_000_000)))
          .catch(() => undefined)
          .then(() => response.end(small.subarray(100_000)));
      };
      const error = await expectFailure(setup.read(name, { cache }));
      expect([error.code, error.message]).toEqual([
        'STORAGE_FULL',
        expect.stringContaining('the disk is full'),
      ]);
      expect((await cache.list())[0]!.state).toBe('partial');
      await rm(filler);
      setup.hub.handler = undefined;
      expect(Buffer.compare(await setup.read(name, { cache }), small)).toBe(0);
    },
  );

  it('that may not be written is told by a typed error', async () => {
    const file = join(setup.folder, 'a-file');
    await writeFile(file, 'x');
    for (const folder of [join(file, 'models'), '/proc/no-such/models']) {
      const cache = createModelCache({ folder });
      const error = await expectFailure(setup.read(name, { cache }));
      expect(['STORAGE_UNAVAILABLE', 'STORAGE_FAILED']).toContain(error.code);
      expect(await cache.list()).toEqual([]);
    }
  });

  it('with things of others in it is left as it is', async () => {
    await mkdir(join(setup.folder, 'records'), { recursive: true });
    const records = [
      '{',
      '[]',
      'null',
      '{"version":1}',
      JSON.stringify({ version: 1, id: 'a', model: 'm', name: 'n', path: '../../x', durable: 0 }),
    ];
    for (const [i, text] of records.entries())
      await writeFile(join(setup.folder, 'records', `${i}.json`), text);
    expect(await setup.cache.list()).toEqual([]);
    await expectModel();
    expect(await setup.cache.clear()).toBe(model.length);
  });

  it('that lost the record of a file hashes it, and keeps it where it is right', async () => {
    await expectModel();
    await rm(join(setup.folder, 'records'), { recursive: true });
    await expectModel();
    expect(setup.hub.downloads()).toHaveLength(1);
    const file = (await setup.cache.list())[0]!.files[0];
    const damaged = Uint8Array.from(model);
    damaged[5]! ^= 1;
    await writeFile(file!.path!, damaged);
    await rm(join(setup.folder, 'records'), { recursive: true });
    await expectModel();
    expect(setup.hub.downloads()).toHaveLength(2);
    expect(await setup.stored()).toEqual(['model.pth']);
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A disk of one megabyte, where this process may mount one. */
function tinyDisk(): { folder: string; unmount: () => void } | undefined {
  const folder = join(tmpdir(), `hub-tiny-disk-${process.pid}`);
  try {
    execFileSync('mkdir', ['-p', folder]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'pipe' });
    return {
      folder,
      unmount: () => {
        execFileSync('umount', [folder]);
        execFileSync('rmdir', [folder]);
      },
    };
  } catch {
    console.warn('skipping the full disk tests of packages/hub: no disk can be mounted here');
    return undefined;
  }
}

describe('names of files', () => {
  it('are safe on every system, and different for different files', () => {
    const names = [
      'a.pth',
      'A b.pth',
      '..',
      '.',
      '',
      'con',
      'NUL.pth',
      'a/b',
      'a\\b',
      'x.part',
      'x'.repeat(500),
      'ü.pth',
      'ö.pth',
      ' a',
      'a ',
      'a.',
      '\u0000',
      'a:b',
      '-',
      '.hidden',
    ];
    const safe = names.map(safeName);
    expect(new Set(safe.map((each) => each.toLowerCase())).size).toBe(names.length);
    for (const each of safe)
      expect(each).toMatch(/^(?!.*\.part$)[A-Za-z0-9_+=@,()-][A-Za-z0-9._ +=@,()-]{0,139}$/);
    expect(safeName('rwkv7-g1-1.5b (x).pth')).toBe('rwkv7-g1-1.5b (x).pth');
  });
});

describe('the default folder', () => {
  it('is where each system keeps its caches', () => {
    const on = (platform: string, environment: Record<string, string>): string =>
      defaultCacheFolder({ platform, environment });
    expect(on('linux', { XDG_CACHE_HOME: '/caches' })).toBe('/caches/rwkv-ts');
    expect(on('linux', { XDG_CACHE_HOME: 'relative' })).toMatch(/\/\.cache\/rwkv-ts$/);
    expect(on('darwin', { XDG_CACHE_HOME: '/caches' })).toMatch(/Library\/Caches\/rwkv-ts$/);
    expect(on('win32', { LOCALAPPDATA: '/local' })).toBe('/local/rwkv-ts');
    expect(on('win32', { LOCALAPPDATA: '/local', RWKV_TS_CACHE: '/mine' })).toBe('/mine');
  });

  it('can be moved', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hub-moved-'));
    process.env['RWKV_TS_CACHE'] = folder;
    try {
      expect(createModelCache().location).toBe(join(folder, 'models'));
      expect(createModelCache({ folder: join(folder, 'x') }).location).toBe(join(folder, 'x'));
      expect(() => createModelCache({ folder: '' })).toThrow(TypeError);
    } finally {
      delete process.env['RWKV_TS_CACHE'];
      await rm(folder, { recursive: true });
    }
  });
});

describe("a browser's file system", () => {
  let browser: FakeBrowser;
  let options: Partial<ResolveOptions>;

  beforeEach(() => {
    browser = fakeBrowser();
    options = { cache: cacheOf(browser) };
  });

  const cacheOf = (on: FakeBrowser) =>
    createCacheOn({
      storage: opfsStorage({ folder: 'models', browser: on }),
      redirects: 'by fetch',
    });

  it('holds models as a disk does', async () => {
    await expectModel(options);
    await expectModel(options);
    expect(setup.hub.downloads()).toHaveLength(1);
    const cache = options.cache!;
    const [held] = await cache.list();
    expect(held).toMatchObject({ name, state: 'verified', received: model.length });
    expect(await cache.verify(name)).toMatchObject([{ intact: true }]);
    expect(await cache.usage()).toEqual({
      used: model.length,
      quota: 10e6,
      free: 10e6 - browser.used(),
      persisted: false,
    });
    expect(await cache.persist()).toBe(true);
    expect(await cache.remove(held!.id)).toBe(model.length);
    expect(browser.paths().filter((path) => path.includes('model.pth'))).toEqual([]);
    expect(browser.openHandles()).toBe(0);
  });

  it.each(['to free names', 'never'] as const)('may move files %s', async (moves) => {
    browser.moves = moves;
    await expectModel(options);
    await expectModel({ ...options, offline: true });
    expect(await options.cache!.verify(name)).toMatchObject([{ intact: true }]);
    expect(browser.paths().filter((path) => /\.(?:part|new)$/.test(path))).toEqual([]);
    expect(browser.openHandles()).toBe(0);
  });

  it('is asked for room first', async () => {
    browser.quota = 1_000_000;
    const error = await expectFailure(setup.read(name, options));
    expect([error.code, error.got]).toEqual(['STORAGE_FULL', model.length]);
    expect(setup.hub.downloads()).toEqual([]);
  });

  it.each(['short write', 'exception'] as const)(
    'that fills up in the middle by %s is told so',
    async (how) => {
      browser.fail = { after: 1_000_000, how };
      expect((await expectFailure(setup.read(name, options))).code).toBe('STORAGE_FULL');
      expect(browser.openHandles()).toBe(0);
      browser.fail = undefined;
      await expectModel(options);
    },
  );

  it('needs a worker for downloads, and a page for nothing else', async () => {
    await expectModel(options);
    browser.inWorker = false;
    await expectModel({ ...options, offline: true });
    expect(await options.cache!.list()).toHaveLength(1);
    expect(await options.cache!.remove(name)).toBe(model.length);
    expect((await expectFailure(setup.read(name, options))).code).toBe('STORAGE_UNAVAILABLE');
  });

  it('may be denied', async () => {
    browser.denied = true;
    expect((await expectFailure(setup.read(name, options))).code).toBe('STORAGE_UNAVAILABLE');
    expect(() => createBrowserCache()).toThrow(/offers no storage/);
    expect(() => createBrowserCache({ folder: 'a/b' })).toThrow(TypeError);
  });

  it('that another tab is writing to is waited for', async () => {
    const other = cacheOf(browser);
    const both = [setup.read(name, options), setup.read(name, { cache: other })];
    for (const bytes of await Promise.all(both)) expect(Buffer.compare(bytes, model)).toBe(0);
    expect(setup.hub.downloads()).toHaveLength(1);
  });

  it('that was cleared under pressure gets the model again', async () => {
    await expectModel(options);
    browser.clear();
    await expectModel(options);
    expect(setup.hub.downloads()).toHaveLength(2);
  });

  it('whose bytes changed is noticed', async () => {
    await expectModel(options);
    browser.damage('model.pth');
    expect(await options.cache!.verify(name)).toMatchObject([
      { intact: false, file: { state: 'damaged' } },
    ]);
    await expectModel(options);
  });

  it('opens a model without downloading it again after another visit', async () => {
    await expectModel(options);
    await using again = await resolveModel(name, {
      hubUrl: setup.hub.url,
      cache: cacheOf(browser),
      offline: true,
    });
    expect(again.size).toBe(model.length);
    expect(again.path).toBeUndefined();
  });
});
