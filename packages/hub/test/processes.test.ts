/** Several processes on one cache: as the command is used from two terminals, and killed in one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { DownloadProgress } from '../src/index.node.js';
import { type CacheSetup, setUpCache } from './cache-setup.js';
import { expectFailure } from './expect-failure.js';
import { sample, sendRange, sha256 } from './test-hub.js';

const model = sample(4_000_000, 11);
let script: string;
let setup: CacheSetup;
let children: ChildProcess[] = [];

beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('process/download.ts', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    conditions: ['@rwkv-ts/source', 'node'],
    // The client reads its own files in Node, so it stays where it is.
    external: ['@huggingface/hub'],
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
    },
  });
  script = outputFiles[0]!.text;
});

beforeEach(async () => {
  setup = await setUpCache();
  setup.hub.files.set('/model.pth', { bytes: model, etag: '"1"' });
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await setup[Symbol.asyncDispose]();
});

interface Process {
  readonly child: ChildProcess;
  /** Resolves with the line of output that begins like this. */
  line(start: string): Promise<string>;
  readonly ended: Promise<number | null>;
}

async function start(...more: readonly string[]): Promise<Process> {
  const file = join(setup.folder, 'download.mjs');
  await writeFile(file, script);
  const child = spawn(process.execPath, [file, url(), setup.folder, ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  const ended = once(child, 'close').then(() => child.exitCode);
  return {
    child,
    ended,
    line: async (begin) => {
      for (;;) {
        const found = text.split('\n').find((line) => line.startsWith(begin));
        if (found !== undefined) return found;
        if (child.exitCode !== null) throw new Error(`ended without "${begin}": ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

/** Sends the first half, and the rest when told to. */
function holdAtHalf(): { release: () => void } {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  setup.hub.handler = (request, response, behave) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? -1);
    if (start !== 0) {
      behave();
      return;
    }
    response.writeHead(206, {
      etag: '"1"',
      'content-range': `bytes 0-${model.length - 1}/${model.length}`,
    });
    response.write(model.subarray(0, 2_000_000));
    void released.then(() => response.end(model.subarray(2_000_000)));
  };
  return { release };
}

const url = (): string => `${setup.hub.url}/model.pth`;

it('downloads once for two processes', async () => {
  const { release } = holdAtHalf();
  const first = await start();
  await first.line('half');
  const second = await start();
  await second.line('wait');
  const busy = await expectFailure(setup.cache.remove(url()));
  expect(busy.code).toBe('STORAGE_BUSY');
  release();
  expect(await Promise.all([first.ended, second.ended])).toEqual([0, 0]);
  expect(setup.hub.downloads().filter(({ range }) => range !== 'bytes=0-0')).toHaveLength(1);
  expect(Buffer.compare(await setup.read(url()), model)).toBe(0);
  expect(await readdir(join(setup.folder, 'locks'))).toEqual([]);
});

it('goes on at once where a killed process stopped', async () => {
  const hash = sha256(model);
  holdAtHalf();
  const first = await start(hash);
  await first.line('half');
  first.child.kill('SIGKILL');
  await first.ended;
  expect((await setup.cache.list())[0]).toMatchObject({ state: 'partial', size: model.length });
  expect(await readdir(join(setup.folder, 'locks'))).toHaveLength(1);
  const phases = new Set<string>();
  const onProgress = ({ phase }: DownloadProgress): Set<string> => phases.add(phase);
  const bytes = await setup.read(url(), { sha256: hash, onProgress });
  expect(Buffer.compare(bytes, model)).toBe(0);
  expect([...phases]).toEqual(['check', 'download']);
  expect(setup.hub.downloads().map(({ range }) => range)).toEqual(['bytes=0-', 'bytes=2000000-']);
  expect(await setup.stored()).toEqual(['model.pth']);
});

it('lets the one that waits take over from the one that was killed', async () => {
  holdAtHalf();
  const first = await start();
  await first.line('half');
  const second = await start();
  await second.line('wait');
  setup.hub.handler = undefined;
  first.child.kill('SIGKILL');
  expect(await second.ended).toBe(0);
  expect(Buffer.compare(await setup.read(url()), model)).toBe(0);
});

it('gives up waiting when told to', async () => {
  holdAtHalf();
  const first = await start();
  await first.line('half');
  const signal = AbortSignal.timeout(150);
  expect((await expectFailure(setup.read(url(), { signal }))).code).toBe('ABORTED');
});

it('takes a lock of another machine only when it is not renewed any more', async () => {
  holdAtHalf();
  const first = await start();
  await first.line('half');
  const [name] = await readdir(join(setup.folder, 'locks'));
  const lock = join(setup.folder, 'locks', name!);
  const holder = JSON.parse(await readFile(lock, 'utf8')) as object;
  first.child.kill('SIGKILL');
  await first.ended;
  await writeFile(lock, JSON.stringify({ ...holder, host: 'elsewhere' }));
  setup.hub.handler = undefined;
  const signal = AbortSignal.timeout(300);
  expect((await expectFailure(setup.read(url(), { signal }))).code).toBe('ABORTED');
  const longAgo = Date.now() / 1000 - 600;
  await utimes(lock, longAgo, longAgo);
  expect(Buffer.compare(await setup.read(url()), model)).toBe(0);
});

it('downloads once for many calls of one process', async () => {
  setup.hub.handler = (request, response) => {
    if (request.headers.range === 'bytes=0-0')
      sendRange({ request, response }, model, { etag: '"1"' });
    else
      setTimeout(() => {
        sendRange({ request, response }, model, { etag: '"1"' });
      }, 50);
  };
  const all = await Promise.all(Array.from({ length: 5 }, () => setup.read(url())));
  expect(all.every((bytes) => Buffer.compare(bytes, model) === 0)).toBe(true);
  expect(setup.hub.downloads().filter(({ range }) => range !== 'bytes=0-0')).toHaveLength(1);
});
