/** Models by reference: downloaded once, used offline, shown and removed by `rwkv cache`. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { demoModel } from '@rwkv-ts/demo-model';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../../../packages/hub/test/test-hub.js';
import { type CliResult, nativeInstructions, runCli, runJson } from './run-cli.js';

const bytes = Uint8Array.from(readFileSync(fileURLToPath(demoModel.url)));
const name = 'owner/repo:model.safetensors';
let folder: string;
let hub: TestHub;
let environment: Record<string, string>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rwkv-cli-cache-'));
  hub = await startTestHub();
  hub.repositories.set('owner/repo', new Map([['model.safetensors', { bytes, lfs: true }]]));
  environment = { RWKV_TS_CACHE: folder, HF_ENDPOINT: hub.url, HF_TOKEN: '' };
});

afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const run = (...args: string[]): Promise<CliResult> => runCli(args, { environment });
const generate = (...args: string[]): Promise<CliResult> =>
  run('generate', '-m', 'owner/repo', 'In the', '--greedy', '-n', '6', ...args);
const downloads = (): number => hub.downloads().length;

describe('a model by reference', () => {
  it('is downloaded once, then works offline', async () => {
    const first = await generate();
    expect(first.code).toBe(0);
    expect(first.stderr).toMatch(/^downloading 1\.\d+ MiB into \S+models\n$/);
    expect(downloads()).toBe(1);
    const second = await generate();
    expect(second).toEqual({ ...first, stderr: '' });
    expect(downloads()).toBe(1);
    hub.seen.length = 0;
    expect(await generate('--offline')).toEqual(second);
    expect(hub.seen).toEqual([]);
    await hub[Symbol.asyncDispose]();
    const away = await generate();
    expect(away).toMatchObject({ code: 0, stdout: first.stdout });
    expect(away.stderr).toMatch(/^warning: .*taken as it was last time, commit cccccccccccc\n$/);
  });

  it('is streamed with --no-cache', async () => {
    const { code, stderr } = await generate('--no-cache');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await runJson(['cache', 'list'], { environment })).toMatchObject({
      used: 0,
      models: [],
    });
  });

  it('that was never downloaded is told so offline', async () => {
    const { code, stderr } = await generate('--offline');
    expect(code).toBe(3);
    expect(stderr).toMatch(/owner\/repo.*not in the cache/);
  });

  it('lies where --cache-folder says', async () => {
    const other = join(folder, 'other');
    await generate('--cache-folder', other);
    expect(
      await runJson(['cache', 'list', '--cache-folder', other], { environment }),
    ).toMatchObject({
      folder: other,
      models: [{ name, state: 'verified' }],
    });
    expect((await run('cache', 'list')).stdout).toMatch(/^nothing is in /);
  });

  it('needs HF_TOKEN where it is gated, and the token goes to the hub', async () => {
    hub.handler = (request, response, behave) => {
      if (request.headers.authorization === 'Bearer hf_good') behave();
      else response.writeHead(401, { 'x-error-code': 'GatedRepo' }).end();
    };
    const refused = await generate();
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/gated.*terms.*set HF_TOKEN/);
    environment['HF_TOKEN'] = 'hf_good';
    expect((await generate()).code).toBe(0);
  });

  it('goes on after Ctrl-C', async () => {
    hub.handler = (request, response, behave) => {
      if (request.url?.includes('/resolve/') !== true) {
        behave();
        return;
      }
      response.writeHead(206, {
        'content-range': `bytes 0-${bytes.length - 1}/${bytes.length}`,
      });
      response.write(bytes.subarray(0, 1_000_000));
    };
    const stopped = await runCli(['cache', 'add', 'owner/repo'], {
      environment,
      interruptAfter: { stream: 'stderr', text: /downloading/ },
    });
    expect(stopped.code).toBe(130);
    expect((await run('cache', 'list')).stdout).toMatch(/ of 1\.\d+ MiB +partial/);
    hub.handler = undefined;
    hub.seen.length = 0;
    const added = await run('cache', 'add', name);
    expect(added).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/verified\n$/) as string,
    });
    expect(hub.downloads().map(({ range }) => range)).toEqual([
      expect.stringMatching(/^bytes=[1-9]\d*-$/),
    ]);
  });

  it.skipIf(nativeInstructions.length === 0)('can be packed like a file', async () => {
    const packed = join(folder, 'packed');
    const first = await generate('--packed-folder', packed);
    const second = await generate('--packed-folder', packed);
    expect([first.code, second.stderr]).toEqual([0, '']);
    expect(second.stdout).toBe(first.stdout);
  });

  it('is inspected without a download, and from the cache when the hub is away', async () => {
    const inspect = () => run('inspect', 'owner/repo');
    const streamed = await inspect();
    expect(streamed).toMatchObject({ code: 0, stderr: '' });
    expect(await runJson(['cache', 'list'], { environment })).toMatchObject({ models: [] });
    await run('cache', 'add', 'owner/repo');
    await hub[Symbol.asyncDispose]();
    const held = await inspect();
    expect(held.code).toBe(0);
    expect(held.stderr).toMatch(/^warning: .*downloaded before\n$/);
  });
});

describe('rwkv cache', () => {
  it('lists, finds, verifies and removes', async () => {
    await run('cache', 'add', 'owner/repo');
    expect((await run('cache')).code).toBe(2);
    const listed = await run('cache', 'list');
    expect(listed.stdout).toMatch(
      /^id +model +size +state\n[0-9a-f]{8} +owner\/repo:model\.safetensors +1\.\d+ MiB +verified\n\n1\./,
    );
    const { path } = (await runJson(['cache', 'path', 'owner/repo'], { environment })) as {
      path: string;
    };
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
    expect((await run('cache', 'path')).stdout).toBe(`${join(folder, 'models')}\n`);
    expect((await run('cache', 'verify')).stdout).toMatch(/^intact {3}owner\/repo/);
    const damaged = Uint8Array.from(bytes);
    damaged[500]! ^= 1;
    writeFileSync(path, damaged);
    const verified = await run('cache', 'verify', name);
    expect(verified).toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/^DAMAGED/) as string,
    });
    expect(await runJson(['cache', 'remove', 'hf:owner/repo@main'], { environment })).toEqual({
      freed: bytes.length,
    });
    const missing = await run('cache', 'remove', name);
    expect(missing).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('is not in the cache') as string,
    });
    expect((await run('cache', 'clear')).stdout).toBe('0 bytes freed\n');
  });
});

it('a relative folder is told to be one, and is not looked for on the hub', async () => {
  mkdirSync(join(folder, 'some', 'folder'), { recursive: true });
  for (const reference of ['some/folder', './some', 'some']) {
    const { code, stderr } = await runCli(['inspect', reference], { environment, cwd: folder });
    expect(code).toBe(3);
    expect(stderr).toMatch(/is a directory/);
  }
  expect(hub.seen).toEqual([]);
});
