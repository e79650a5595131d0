/** A hub and a file server on this machine, as badly behaved as a test wants. */
import { createHash } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ServedFile {
  readonly bytes: Uint8Array;
  /** Large files of the hub are named by SHA-256, small ones by Git's hash. */
  readonly lfs?: boolean;
  /** What the hub says instead of the truth. */
  readonly claim?: { readonly size?: number; readonly hash?: string };
}

export interface TestRequest {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  /** Answers as a good server would. */
  behave: () => void,
) => void;

export const commit = 'c'.repeat(40);

/** Repository name to files; `commits` moves a branch. */
export interface TestHub extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly seen: TestRequest[];
  readonly repositories: Map<string, Map<string, ServedFile>>;
  /** Plain files by path, with their ETag. */
  readonly files: Map<string, { bytes: Uint8Array; etag?: string; lastModified?: string }>;
  readonly commits: Map<string, string>;
  /** Asked first, for everything. */
  handler: Handler | undefined;
  /** Downloads of bytes among `seen`. */
  downloads(): readonly TestRequest[];
}

export function gitHash(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Bytes that are different everywhere. */
export function sample(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  let state = seed >>> 0 || 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export async function startTestHub(): Promise<TestHub> {
  const seen: TestRequest[] = [];
  const hub = {
    seen,
    repositories: new Map<string, Map<string, ServedFile>>(),
    files: new Map<string, { bytes: Uint8Array; etag?: string; lastModified?: string }>(),
    commits: new Map<string, string>([['main', commit]]),
    handler: undefined as Handler | undefined,
    downloads: () =>
      seen.filter(({ path, method }) => method === 'GET' && !path.startsWith('/api/')),
  };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    const { range, authorization, host = '' } = request.headers;
    seen.push({ method: request.method ?? '', path, host, range, authorization });
    const behave = (): void => {
      answer(hub, { path, request, response });
    };
    if (hub.handler === undefined) behave();
    else hub.handler(request, response, behave);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(hub, {
    port,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => close(server),
  });
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

type Served = Pick<TestHub, 'repositories' | 'files' | 'commits'>;

interface Asked {
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

function answer(hub: Served, asked: Asked): void {
  const { path, request, response } = asked;
  const plain = hub.files.get(path.replace(/\?.*/, ''));
  if (plain !== undefined) {
    sendRange(asked, plain.bytes, {
      ...(plain.etag === undefined ? {} : { etag: plain.etag }),
      ...(plain.lastModified === undefined ? {} : { 'last-modified': plain.lastModified }),
    });
    return;
  }
  const [, name = '', kind, revision = '', file = ''] =
    /^\/(?:api\/models\/)?([^/]+\/[^/]+)\/(revision|tree|resolve|paths-info)\/([^/?]+)(?:\/([^?]*))?/.exec(
      path,
    ) ?? [];
  const files = hub.repositories.get(name);
  const sha =
    hub.commits.get(revision) ??
    ([...hub.commits.values()].includes(revision) ? revision : undefined);
  if (files === undefined || sha === undefined) {
    response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end();
  } else if (kind === 'revision') {
    json(response, { _id: '1', id: name, sha, lastModified: '2026-01-01' });
  } else if (kind === 'tree') {
    json(response, entriesOf(files, [...files.keys()]));
  } else if (kind === 'paths-info') {
    void bodyOf(request).then((text) => {
      json(response, entriesOf(files, (JSON.parse(text) as { paths: string[] }).paths));
    });
  } else {
    const found = files.get(file);
    if (found === undefined) response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
    else sendRange(asked, found.bytes, { etag: '"cdn"' });
  }
}

function entriesOf(files: ReadonlyMap<string, ServedFile>, paths: readonly string[]): unknown[] {
  return paths.flatMap((path) => {
    const file = files.get(path);
    if (file === undefined) return [];
    const { bytes, lfs = false, claim = {} } = file;
    const size = claim.size ?? bytes.length;
    const own = gitHash(bytes);
    if (!lfs) return [{ type: 'file', path, size, oid: claim.hash ?? own }];
    const oid = claim.hash ?? sha256(bytes);
    return [{ type: 'file', path, size, oid: own, lfs: { oid, size, pointerSize: 130 } }];
  });
}

export function sendRange(
  { request, response }: Pick<Asked, 'request' | 'response'>,
  bytes: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  const [, start, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  if (start === undefined) {
    response.writeHead(200, { ...headers, 'content-length': bytes.length }).end(bytes);
    return;
  }
  const from = Number(start);
  const end = Math.min(last === '' ? bytes.length : Number(last) + 1, bytes.length);
  if (from >= bytes.length) {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${bytes.length}` }).end();
    return;
  }
  response
    .writeHead(206, {
      ...headers,
      'content-length': end - from,
      'content-range': `bytes ${from}-${end - 1}/${bytes.length}`,
    })
    .end(bytes.subarray(from, end));
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
