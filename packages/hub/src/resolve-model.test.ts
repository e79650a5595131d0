import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ByteSource } from '@rwkv-ts/weights';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HubError, resolveModel } from './index.node.js';
import { resolveModel as resolveInBrowser } from './index.js';

const sha = 'a'.repeat(40);
const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) % 251);

interface Seen {
  readonly url: string;
  readonly authorization: string | undefined;
}

/** A hub: `public/one` has one model, `public/many` three, `gated/model` wants a token, `cut/list` answers no JSON. */
const repositories: Record<string, string[]> = {
  'public/one': ['README.md', 'model v1.pth', 'optimizer.bin'],
  'public/many': ['a.pth', 'b.gguf', 'c.bin', 'sub/d.safetensors'],
  'public/none': ['README.md'],
  'public/bin': ['README.md', 'rwkv.bin'],
  'public/shards': [
    'm-00001-of-00002.safetensors',
    'm-00002-of-00002.safetensors',
    'model.safetensors.index.json',
  ],
  'public/bin-shards': [
    'pytorch_model-00001-of-00002.bin',
    'pytorch_model-00002-of-00002.bin',
    'pytorch_model.bin.index.json',
  ],
  'gated/model': ['model.pth'],
};

let server: Server;
let hubUrl: string;
let folder: string;
let seen: Seen[] = [];

function json(
  response: ServerResponse,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response
    .writeHead(200, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(value));
}

function sendFile(request: IncomingMessage, response: ServerResponse): void {
  const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  if (start === undefined) {
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    return;
  }
  const end = Math.min(Number(last) + 1, bytes.length);
  response
    .writeHead(206, { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}`, etag: '"1"' })
    .end(bytes.subarray(Number(start), end));
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = decodeURIComponent(request.url ?? '');
  seen.push({ url, authorization: request.headers.authorization });
  const status = (code: number, headers: Record<string, string> = {}): void => {
    response.writeHead(code, headers).end();
  };
  if (url.startsWith('/file')) {
    sendFile(request, response);
    return;
  }
  if (url.startsWith('/status/')) {
    status(Number(url.slice(8)));
    return;
  }
  const match =
    /^\/(?:api\/models\/)?([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/?]+)(?:\/([^?]*))?/.exec(
      url,
    );
  const [, name = '', kind, revision, path] = match ?? [];
  if (name === 'cut/list') {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    return;
  }
  if (name === 'slow/model') return;
  const files = repositories[name];
  if (files === undefined || !['main', 'HEAD', 'v1', sha].includes(revision ?? '')) {
    status(name.startsWith('gated') ? 401 : 404);
  } else if (name === 'gated/model' && request.headers.authorization !== 'Bearer hf_good') {
    status(request.headers.authorization === undefined ? 401 : 403);
  } else if (kind === 'revision') {
    json(response, { _id: '1', id: name, sha, lastModified: '2026-01-01' });
  } else if (kind === 'tree') {
    const entries = files.map((file) => ({
      type: 'file',
      path: file,
      size: bytes.length,
      oid: '1',
    }));
    json(response, [{ type: 'directory', path: 'sub', size: 0 }, ...entries]);
  } else if (files.includes(path ?? '')) {
    sendFile(request, response);
  } else {
    status(404, { 'X-Error-Code': 'EntryNotFound' });
  }
}

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), 'hub-'));
  await writeFile(join(folder, 'model.pth'), bytes);
});

afterEach(() => {
  seen = [];
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

async function expectWhole(source: ByteSource): Promise<void> {
  expect(source.size).toBe(bytes.length);
  expect(Buffer.compare(await source.read(0, bytes.length), bytes)).toBe(0);
  expect(await source.read(150_000, 10)).toEqual(bytes.slice(150_000, 150_010));
  await source[Symbol.asyncDispose]();
}

async function failure(promise: Promise<unknown>): Promise<HubError> {
  const error: unknown = await promise.then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HubError);
  return error as HubError;
}

describe('paths', () => {
  it('opens files and file URLs', async () => {
    await expectWhole(await resolveModel(join(folder, 'model.pth')));
    await expectWhole(await resolveModel(pathToFileURL(join(folder, 'model.pth'))));
  });

  it('says what is missing', async () => {
    expect((await failure(resolveModel('./no-such.pth'))).code).toBe('NOT_FOUND');
    expect((await failure(resolveModel('no-such-owner/no-such.pth'))).code).toBe('NOT_FOUND');
    expect((await failure(resolveModel('file://host/x/%zz'))).code).toBe('REFERENCE_INVALID');
    expect(seen).toEqual([]);
  });

  it('opens siblings by plain names only', async () => {
    await using model = await resolveModel(join(folder, 'model.pth'));
    await expectWhole(await model.openSibling('model.pth'));
    for (const name of ['../model.pth', 'a/b', '..', '', 'a\\b']) {
      expect((await failure(model.openSibling(name))).code).toBe('REFERENCE_INVALID');
    }
  });

  it('prefers an existing file over a repository of that name', async () => {
    await mkdir(join(folder, 'public'), { recursive: true });
    await writeFile(join(folder, 'public', 'one'), bytes);
    const before = process.cwd();
    process.chdir(folder);
    try {
      await expectWhole(await resolveModel('public/one', { hubUrl }));
      expect(seen).toEqual([]);
      await expectWhole(await resolveModel('hf:public/one', { hubUrl }));
      expect(seen).not.toEqual([]);
    } finally {
      process.chdir(before);
    }
  });

  it('are refused in browsers', async () => {
    const error = await failure(resolveInBrowser(join(folder, 'model.pth')));
    expect(error.code).toBe('LOCAL_FILES_UNAVAILABLE');
  });
});

describe('URLs', () => {
  it('are read by ranges', async () => {
    await expectWhole(await resolveModel(`${hubUrl}/file`));
    await expectWhole(await resolveInBrowser(new URL(`${hubUrl}/file`)));
    const url = URL.createObjectURL(new Blob([bytes]));
    await expectWhole(await resolveModel(url));
    URL.revokeObjectURL(url);
  });

  it('send the token to the hub only', async () => {
    await resolveModel(`${hubUrl}/file`, { token: 'hf_good' });
    await resolveModel(`${hubUrl}/file`, { token: 'hf_good', hubUrl });
    expect(seen.map(({ authorization }) => authorization)).toEqual([undefined, 'Bearer hf_good']);
  });

  it('explain statuses', async () => {
    expect((await failure(resolveModel(`${hubUrl}/status/404`))).code).toBe('NOT_FOUND');
    expect((await failure(resolveModel(`${hubUrl}/status/401`))).code).toBe('ACCESS_DENIED');
    expect((await failure(resolveModel(`${hubUrl}/status/403`))).code).toBe('ACCESS_DENIED');
  });
});

describe('repositories', () => {
  it('give their only model file, at the commit the branch was at', async () => {
    await expectWhole(await resolveModel('public/one', { hubUrl }));
    const resolved = seen.filter(({ url }) => url.includes('/resolve/'));
    expect(resolved.length).toBeGreaterThan(1);
    expect(resolved.every(({ url }) => url === `/public/one/resolve/${sha}/model v1.pth`)).toBe(
      true,
    );
    await expectWhole(await resolveInBrowser('public/bin@v1', { hubUrl }));
  });

  it('give the file that is named', async () => {
    await expectWhole(await resolveModel('public/many:sub/d.safetensors@v1', { hubUrl }));
    expect((await failure(resolveModel('public/many:x.pth', { hubUrl }))).code).toBe('NOT_FOUND');
  });

  it('give a sharded model as one, with its shards beside it', async () => {
    await using model = await resolveModel('public/shards', { hubUrl });
    expect(model.name).toMatch(/model\.safetensors\.index\.json$/);
    await expectWhole(await model.openSibling('m-00002-of-00002.safetensors'));
  });

  it('give shards of PyTorch by their index too', async () => {
    await using model = await resolveModel('public/bin-shards', { hubUrl });
    expect(model.name).toMatch(/pytorch_model\.bin\.index\.json$/);
  });

  it('list the candidates when there are several', async () => {
    const error = await failure(resolveModel('public/many', { hubUrl }));
    expect(error.code).toBe('MODEL_AMBIGUOUS');
    expect(error.expected).toEqual(['a.pth', 'b.gguf', 'sub/d.safetensors']);
    expect(error.message).toContain('public/many:sub/d.safetensors');
    expect((await failure(resolveModel('public/none', { hubUrl }))).code).toBe('NO_MODEL_FILE');
  });

  it('explain what is missing or gated', async () => {
    expect((await failure(resolveModel('public/nothing', { hubUrl }))).code).toBe('NOT_FOUND');
    expect((await failure(resolveModel('public/one@v9', { hubUrl }))).code).toBe('NOT_FOUND');
    const without = await failure(resolveModel('gated/model', { hubUrl }));
    expect([without.code, without.message]).toEqual([
      'ACCESS_DENIED',
      expect.stringContaining('pass `token`'),
    ]);
    const wrong = await failure(resolveModel('gated/model', { hubUrl, token: 'hf_bad' }));
    expect([wrong.code, wrong.message]).toEqual([
      'ACCESS_DENIED',
      expect.stringContaining('terms'),
    ]);
    await expectWhole(await resolveModel('gated/model', { hubUrl, token: 'hf_good' }));
    await expect(resolveModel('gated/model', { hubUrl, token: 'bad' })).rejects.toThrow(/hf_/);
  });

  it('explain a hub that is away, silent, or no hub', async () => {
    const away = await failure(resolveModel('public/one', { hubUrl: 'http://127.0.0.1:9' }));
    expect(away.code).toBe('OFFLINE');
    const silent = await failure(resolveModel('slow/model', { hubUrl, timeout: 50 }));
    expect(silent.code).toBe('OFFLINE');
    expect((await failure(resolveModel('cut/list', { hubUrl }))).code).toBe('SERVER_FAILED');
    const signal = AbortSignal.timeout(20);
    expect((await failure(resolveModel('slow/model', { hubUrl, signal }))).code).toBe('ABORTED');
  });
});
