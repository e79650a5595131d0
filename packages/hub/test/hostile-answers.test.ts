/** Answers that are no file: errors, redirects, pauses, names that lead elsewhere. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HubError } from '../src/index.node.js';
import { expectFailure } from './expect-failure.js';
import { type HostileSetup, cutAfter, good, model, name, setUpHostile } from './hostile-server.js';
import { type Handler, gitHash, sendRange, startTestHub } from './test-hub.js';

let setup: HostileSetup;
beforeEach(async () => {
  setup = await setUpHostile();
});
afterEach(() => setup[Symbol.asyncDispose]());

describe('answers of another kind', () => {
  it('are taken where the server ignores ranges', async () => {
    const whole: Handler = (_request, response) => {
      response.writeHead(200, { 'content-length': model.length, etag: '"1"' }).end(model);
    };
    setup.serveBytes(cutAfter(1_500_000), whole);
    await setup.expectModel();
    setup.serveBytes(whole);
    await setup.expectModel(setup.plain);
  });

  it.each([
    ['a web page', { 'content-type': 'text/html; charset=utf-8' }],
    ['compressed', { 'content-encoding': 'gzip' }],
  ])('are refused when they are %s', async (_what, headers) => {
    setup.serveBytes((_request, response) => {
      response.writeHead(200, { ...headers, 'content-length': 4 }).end('<htm');
    });
    expect((await setup.failureOf(setup.plain)).code).toBe('SERVER_FAILED');
  });

  it.each([
    [404, {}, 'NOT_FOUND'],
    [401, {}, 'ACCESS_DENIED'],
    [403, { 'x-error-code': 'GatedRepo' }, 'GATED'],
    [400, {}, 'SERVER_FAILED'],
    [500, {}, 'SERVER_FAILED'],
    [416, { 'content-range': 'bytes */7' }, 'SIZE_MISMATCH'],
    [204, {}, 'SERVER_FAILED'],
    [304, {}, 'SERVER_FAILED'],
  ])('%s %o is %s', async (status, headers, code) => {
    setup.serveBytes((_request, response) => {
      response.writeHead(status, headers).end();
    });
    expect((await setup.failureOf()).code).toBe(code);
    expect((await setup.failureOf(setup.plain)).code).toBe(code);
  });

  it('of the hub that say gated are told as such', async () => {
    setup.hub.handler = (_request, response) => {
      response.writeHead(403, { 'x-error-code': 'GatedRepo' }).end();
    };
    const error = await setup.failureOf();
    expect([error.code, error.message]).toEqual(['GATED', expect.stringContaining('terms')]);
  });
});

describe('redirects', () => {
  const redirectTo =
    (location: string): Handler =>
    (_request, response) => {
      response.writeHead(302, { location }).end();
    };

  it('take no token to another origin, nor from there to anywhere', async () => {
    await using other = await startTestHub();
    other.handler = (request, response) => {
      if (request.url === '/back') response.writeHead(307, { location: setup.plain }).end();
      else sendRange({ request, response }, model);
    };
    const token = 'hf_secret';
    setup.serveBytes(redirectTo(`${other.url}/back`), good);
    await setup.read(name, { token });
    expect(other.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
    expect(setup.hub.downloads().map(({ authorization }) => authorization)).toEqual([
      `Bearer ${token}`,
      undefined,
    ]);
    await setup.cache.clear();
    await setup.read(`${other.url}/anything`, { token });
    expect(other.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it('of questions to the hub take no token to another origin', async () => {
    await using other = await startTestHub();
    other.repositories.set('owner/repo', new Map([['model.pth', { bytes: model, lfs: true }]]));
    setup.hub.handler = (request, response) => {
      response.writeHead(307, { location: `${other.url}${request.url ?? ''}` }).end();
    };
    await setup.read(name, { token: 'hf_secret' });
    expect(other.seen.length).toBeGreaterThan(2);
    expect(other.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it.each(['/loop', 'ftp://127.0.0.1/x', 'file:///etc/passwd', 'data:,x', 'http://', ''])(
    'to %j are refused',
    async (location) => {
      setup.serveBytes(redirectTo(location === '/loop' ? setup.plain : location));
      expect((await setup.failureOf(setup.plain)).code).toBe('REDIRECT_REFUSED');
    },
  );

  it('without end are refused', async () => {
    let count = 0;
    setup.serveBytes((_request, response) => {
      response.writeHead(302, { location: `/plain?${count++}` }).end();
    });
    const error = await setup.failureOf(setup.plain);
    expect([error.code, error.expected]).toEqual(['REDIRECT_REFUSED', 10]);
    expect(count).toBeLessThan(12);
  });
});

describe('servers that are busy', () => {
  const busy =
    (status: number, headers: Readonly<Record<string, string>> = {}): Handler =>
    (_request, response) => {
      response.writeHead(status, headers).end();
    };

  it('are asked again, after the pause they want', async () => {
    setup.serveBytes(busy(429, { 'retry-after': '1' }), busy(503), good);
    const began = performance.now();
    await setup.expectModel();
    expect(performance.now() - began).toBeGreaterThan(990);
    expect(setup.ranges()).toHaveLength(3);
  });

  it('are left alone when the pause would be long', async () => {
    for (const header of ['3600', new Date(Date.now() + 3_600_000).toUTCString()]) {
      setup.hub.seen.length = 0;
      setup.serveBytes(busy(429, { 'retry-after': header }));
      const error = await setup.failureOf();
      expect(error.code).toBe('RATE_LIMITED');
      expect(Math.round(Number(error.got) / 60)).toBe(60);
      expect(setup.ranges()).toHaveLength(1);
    }
  });

  it('are not asked for ever', async () => {
    setup.serveBytes(busy(429));
    expect((await setup.failureOf()).code).toBe('RATE_LIMITED');
    expect(setup.ranges()).toHaveLength(3);
  });

  it('may be the hub itself', async () => {
    let count = 0;
    setup.hub.handler = (_request, response, behave) => {
      if (count++ === 0) response.writeHead(429, { 'retry-after': '0' }).end();
      else behave();
    };
    await setup.expectModel();
    setup.hub.handler = (_request, response) => {
      response.writeHead(429, { 'retry-after': '999' }).end();
    };
    await setup.expectModel();
    expect(setup.notices.map(({ code }) => code)).toEqual(['LAST_KNOWN_COMMIT']);
    expect((await expectFailure(setup.read('owner/other'))).code).toBe('RATE_LIMITED');
  });

  it('can be given up while waiting', async () => {
    setup.serveBytes(busy(429, { 'retry-after': '30' }));
    const signal = AbortSignal.timeout(100);
    expect((await setup.failureOf(name, { signal })).code).toBe('ABORTED');
  });
});

describe('names of files', () => {
  it('cannot lead out of the cache', async () => {
    for (const path of [
      '../../../evil.pth',
      'a/../../evil.pth',
      '/evil.pth',
      '..\\evil.pth',
      'con.pth',
      'a\u0000b.pth',
    ]) {
      setup.hub.repositories.set('owner/evil', new Map([[path, { bytes: model, lfs: true }]]));
      setup.hub.commits.set('main', gitHash(Buffer.from(path)));
      const error = await setup.read('owner/evil').then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error !== undefined) expect(error).toBeInstanceOf(HubError);
    }
    const paths = await readdir(setup.folder, { recursive: true });
    expect(paths.filter((path) => /(?:^|\/)(?:evil\.pth|con\.pth)$|\\|\.\./.test(path))).toEqual(
      [],
    );
    const above = await readdir(join(setup.folder, '..'));
    expect(above).not.toContain('evil.pth');
  });

  it('in an index cannot lead out of the repository', async () => {
    for (const shard of ['../secret.safetensors', '/etc/passwd', 'a/b', 'a\\b', '..', '', 7]) {
      const bytes = Buffer.from(JSON.stringify({ weight_map: { a: shard } }));
      setup.hub.repositories.set('owner/index', new Map([['m.safetensors.index.json', { bytes }]]));
      setup.hub.commits.set('main', gitHash(bytes));
      const error = await expectFailure(setup.read('owner/index'));
      expect(error.code).toBe('SERVER_FAILED');
    }
  });
});
