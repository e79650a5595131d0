/** The cache in a real browser's own file system. Skips where there is no Chromium. */
import { existsSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Browser, type BrowserContext, type Page, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CachedModel, CacheUsage } from '../src/index.js';
import type { TestPage } from './browser/page.js';
import type { Call, Reply } from './browser/worker.js';
import {
  type TestHub,
  type TestRequest,
  sample,
  sendRange,
  sha256,
  startTestHub,
} from './test-hub.js';

declare const page: TestPage;

const executablePath = [
  process.env['CHROMIUM_PATH'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== '' && existsSync(path));
if (executablePath === undefined) {
  console.warn('skipping the browser tests of packages/hub: no Chromium; set CHROMIUM_PATH');
}

const model = sample(3_000_000, 5);
const reference = 'owner/repo:model.pth';

describe.skipIf(executablePath === undefined)('a cache in a browser', () => {
  let browser: Browser;
  let context: BrowserContext;
  let scripts: Map<string, string>;
  let hub: TestHub;
  let cdn: { server: Server; seen: TestRequest[]; hold: boolean };

  beforeAll(async () => {
    scripts = await bundle();
    browser = await chromium.launch({
      executablePath: executablePath!,
      headless: true,
      args: [
        '--no-sandbox',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
      ],
    });
  });

  afterAll(async () => {
    await browser.close();
  });

  beforeEach(async () => {
    hub = await startTestHub();
    cdn = await startCdn();
    hub.repositories.set('owner/repo', new Map([['model.pth', { bytes: model, lfs: true }]]));
    const bytesUrl = `http://localhost:${(cdn.server.address() as AddressInfo).port}/bytes`;
    hub.handler = (request, response, behave) => {
      const script = scripts.get(request.url ?? '');
      if (script !== undefined) {
        const type = request.url === '/' ? 'text/html' : 'text/javascript';
        response.writeHead(200, { 'content-type': type }).end(script);
      } else if (request.url?.includes('/resolve/') === true) {
        response.writeHead(302, { location: bytesUrl }).end();
      } else behave();
    };
    context = await browser.newContext();
  });

  afterEach(async () => {
    await context.close();
    await hub[Symbol.asyncDispose]();
    cdn.server.closeAllConnections();
    await new Promise((resolve) => cdn.server.close(resolve));
  });

  async function startCdn(): Promise<typeof cdn> {
    const seen: TestRequest[] = [];
    const server = createServer((request, response) => {
      const { range, authorization, host = '' } = request.headers;
      const { method = '', url: path = '' } = request;
      seen.push({ method, path, host, range, authorization });
      const headers = {
        'access-control-allow-origin': '*',
        'access-control-expose-headers': 'content-range, etag',
      };
      if (!started.hold) {
        sendRange({ request, response }, model, headers);
        return;
      }
      // The first half, and then nothing.
      const start = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
      response.writeHead(206, {
        ...headers,
        'content-range': `bytes ${start}-${model.length - 1}/${model.length}`,
      });
      response.write(model.subarray(start, Math.max(start, 1_500_000)));
    });
    const started = { server, seen, hold: false };
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return started;
  }

  async function openPage(): Promise<Page> {
    const opened = await context.newPage();
    await opened.goto(hub.url);
    await opened.waitForFunction(() => 'page' in globalThis);
    return opened;
  }

  const call = (on: Page, given: Omit<Call, 'hubUrl'>): Promise<Reply> =>
    on.evaluate((one) => page.call(one), { reference, hubUrl: hub.url, ...given });

  const firstHalf = (on: Page): Promise<unknown> =>
    on.waitForFunction(() =>
      page.live.some((one) => one?.phase === 'download' && one.done >= 1_500_000),
    );

  it('keeps a model for the next visit, offline too', async () => {
    const tab = await openPage();
    const { value, error, progress } = await call(tab, { method: 'download', token: 'hf_secret' });
    expect(error).toBeUndefined();
    expect(value).toMatchObject({ name: reference, state: 'verified', size: model.length });
    expect(progress.at(-1)).toEqual({ phase: 'download', done: model.length });
    expect(hub.seen.some(({ authorization }) => authorization === 'Bearer hf_secret')).toBe(true);
    expect(cdn.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
    await tab.close();

    const again = await openPage();
    hub.seen.length = 0;
    const read = await call(again, { method: 'read', offline: true });
    expect(read.value).toBe(sha256(model));
    expect(hub.seen).toEqual([]);
    expect((await call(again, { method: 'read' })).value).toBe(sha256(model));
    expect(cdn.seen).toHaveLength(1);
  });

  it('shows, checks and clears what it holds, on the page as in the worker', async () => {
    const tab = await openPage();
    await call(tab, { method: 'download' });
    const listed = await tab.evaluate(() => page.cache().list());
    expect(listed).toHaveLength(1);
    expect(listed).toMatchObject((await call(tab, { method: 'list' })).value as CachedModel[]);
    const usage = (await call(tab, { method: 'usage' })).value as CacheUsage;
    expect(usage.used).toBe(model.length);
    expect(usage.quota).toBeGreaterThan(usage.used);
    expect(typeof (await tab.evaluate(() => page.cache().persist()))).toBe('boolean');
    const verified = await call(tab, { method: 'verify' });
    expect(verified.value).toMatchObject([{ intact: true }]);
    const checked = await tab.evaluate((model) => page.cache().verify(model), reference);
    expect(checked).toMatchObject([{ intact: true }]);
    const freed = await tab.evaluate((id) => page.cache().remove(id), listed[0]!.id);
    expect(freed).toBe(model.length);
    expect((await call(tab, { method: 'list' })).value).toEqual([]);
    const left = await tab.evaluate(async () => {
      const names: string[] = [];
      const root = await navigator.storage.getDirectory();
      const folder = await root.getDirectoryHandle('rwkv-ts-models');
      for await (const name of (folder as unknown as { keys(): AsyncIterable<string> }).keys())
        names.push(name);
      return names;
    });
    expect(left).toEqual(['answers']);
  });

  it('pauses and goes on', async () => {
    const tab = await openPage();
    cdn.hold = true;
    const paused = call(tab, { method: 'download' });
    await firstHalf(tab);
    await tab.evaluate(() => {
      page.abort();
    });
    expect((await paused).error?.code).toBe('ABORTED');
    expect((await call(tab, { method: 'list' })).value).toMatchObject([
      { name: reference, state: 'partial', received: 1_500_000, size: model.length },
    ]);
    cdn.hold = false;
    expect((await call(tab, { method: 'read' })).value).toBe(sha256(model));
    expect(cdn.seen.map(({ range }) => range)).toEqual(['bytes=0-', 'bytes=1500000-']);
  });

  it('survives a tab that is closed in the middle', async () => {
    const tab = await openPage();
    cdn.hold = true;
    void call(tab, { method: 'download' }).catch(() => undefined);
    await firstHalf(tab);
    await tab.close();
    cdn.hold = false;
    const again = await openPage();
    expect((await call(again, { method: 'read' })).value).toBe(sha256(model));
  });

  it('downloads once for two tabs', async () => {
    const [one, two] = [await openPage(), await openPage()];
    cdn.hold = true;
    const first = call(one, { method: 'download' });
    await firstHalf(one);
    const second = call(two, { method: 'read' });
    await two.waitForFunction(() => page.live.some((each) => each?.phase === 'wait'));
    await expect(two.evaluate((name) => page.cache().remove(name), reference)).rejects.toThrow(
      /is being downloaded/,
    );
    cdn.hold = false;
    await one.evaluate(() => {
      page.abort();
    });
    expect((await first).error?.code).toBe('ABORTED');
    expect((await second).value).toBe(sha256(model));
    expect(cdn.seen).toHaveLength(2);
  });

  it('refuses what does not fit before anything is fetched', async () => {
    const size = 2 ** 43;
    hub.repositories.set(
      'owner/repo',
      new Map([['model.pth', { bytes: model, lfs: true, claim: { size } }]]),
    );
    const tab = await openPage();
    const { error } = await call(tab, { method: 'download' });
    expect([error?.code, error?.got]).toEqual(['STORAGE_FULL', size]);
    expect(cdn.seen).toEqual([]);
    expect((await call(tab, { method: 'list' })).value).toEqual([]);
  });

  it('says that the storage is full when the browser stops it in the middle', async () => {
    const tab = await openPage();
    const control = await context.newCDPSession(tab);
    await control.send('Storage.overrideQuotaForOrigin', { origin: hub.url, quotaSize: 2_000_000 });
    expect((await call(tab, { method: 'download' })).error?.code).toBe('STORAGE_FULL');
    await control.send('Storage.overrideQuotaForOrigin', { origin: hub.url });
    expect((await call(tab, { method: 'read' })).value).toBe(sha256(model));
  });
});

/** The page and its worker, from source, as an app's bundler would make them. */
async function bundle(): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    entryPoints: ['page', 'worker'].map((name) =>
      fileURLToPath(new URL(`browser/${name}.ts`, import.meta.url)),
    ),
    bundle: true,
    write: false,
    outdir: '/',
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    conditions: ['@rwkv-ts/source'],
    alias: {
      '@huggingface/hub': fileURLToPath(
        new URL('browser/index.mjs', import.meta.resolve('@huggingface/hub')),
      ),
    },
  });
  const scripts = outputFiles.map(({ path, text }) => [path, text] as const);
  return new Map([
    ...scripts,
    ['/', '<!doctype html><script type="module" src="/page.js"></script>'],
  ]);
}
