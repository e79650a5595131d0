/** Bytes that break off, lie about their size, are wrong, or change. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HubError } from '../src/index.node.js';
import {
  type HostileSetup,
  cutAfter,
  good,
  model,
  name,
  pour,
  setUpHostile,
  startOf,
} from './hostile-server.js';
import { type Handler, gitHash, sample, sendRange, sha256 } from './test-hub.js';

let setup: HostileSetup;
beforeEach(async () => {
  setup = await setUpHostile();
});
afterEach(() => setup[Symbol.asyncDispose]());

describe('connections that break', () => {
  it.each([name, '/plain'])('are taken up where they broke: %s', async (reference) => {
    setup.serveBytes(cutAfter(1_200_000), cutAfter(1_100_000), good);
    await setup.expectModel(reference === name ? name : setup.plain);
    expect(setup.ranges()[0]).toBe('bytes=0-');
    // What the operating system had not passed on is lost, so the cuts are where they are.
    expect(
      setup
        .ranges()
        .slice(1)
        .every((range) => startOf(range) > 0),
    ).toBe(true);
  });

  it('end the download when nothing comes of it, and the next one goes on', async () => {
    setup.serveBytes(cutAfter(1_500_000), cutAfter(0));
    expect((await setup.failureOf()).code).toBe('OFFLINE');
    expect(await setup.stored()).toEqual(['model.pth.part']);
    setup.hub.seen.length = 0;
    setup.serveBytes(good);
    await setup.expectModel();
    expect(startOf(setup.ranges()[0])).toBeGreaterThan(0);
    expect(await setup.stored()).toEqual(['model.pth']);
  });

  it('are not waited for without end', async () => {
    setup.serveBytes((_request, response) => {
      response.writeHead(206, {
        'content-range': `bytes 0-${model.length - 1}/${model.length}`,
      });
      response.write('x');
    });
    const impatient = { retries: 2, retryDelay: 1, stallTimeout: 50 };
    const error = await setup.failureOf(setup.plain, {
      network: impatient,
    });
    expect([error.code, error.message]).toEqual([
      'OFFLINE',
      expect.stringContaining('nothing came for 50 ms'),
    ]);
    setup.serveBytes(() => undefined);
    const silent = await setup.failureOf(setup.plain, {
      network: impatient,
    });
    expect(silent.code).toBe('OFFLINE');
  });

  it('start anew where nothing tells whether the file is the same', async () => {
    for (const etag of [undefined, 'W/"weak"']) {
      setup.hub.seen.length = 0;
      const headers = etag === undefined ? {} : { etag };
      setup.hub.files.set('/plain', { bytes: model, ...headers });
      setup.serveBytes((_request, response) => {
        response.writeHead(206, {
          ...headers,
          'content-length': model.length,
          'content-range': `bytes 0-${model.length - 1}/${model.length}`,
        });
        response.write(model.subarray(0, 1_500_000), () => response.destroy());
      }, good);
      await setup.expectModel(`${setup.plain}?${etag ?? ''}`);
      expect(setup.ranges()).toEqual(['bytes=0-', 'bytes=0-']);
    }
  });

  it('at one byte an answer come to an end', async () => {
    setup.serveBytes((request, response) => {
      const start = startOf(request.headers.range);
      response
        .writeHead(206, { 'content-range': `bytes ${start}-${start}/${model.length}` })
        .end(model.subarray(start, start + 1));
    });
    expect((await setup.failureOf()).code).toBe('SIZE_MISMATCH');
    expect(setup.ranges().length).toBeLessThan(6);
  });
});

describe('sizes that are lies', () => {
  it('of the hub are not believed over the server, nor the other way round', async () => {
    for (const size of [model.length - 1, model.length + 1, 1]) {
      setup.hub.repositories.set(
        'owner/repo',
        new Map([['model.pth', { bytes: model, lfs: true, claim: { size } }]]),
      );
      setup.hub.commits.set('main', String(size).padEnd(40, 'a').slice(0, 40));
      const error = await setup.failureOf();
      expect([error.code, error.expected, error.got]).toEqual([
        'SIZE_MISMATCH',
        size,
        model.length,
      ]);
    }
  });

  it('never let more be written than was announced', async () => {
    setup.serveBytes((_request, response) => {
      response.writeHead(206, { 'content-range': `bytes 0-${model.length - 1}/${model.length}` });
      pour(response);
    });
    expect((await setup.failureOf()).code).toBe('SIZE_MISMATCH');
    setup.serveBytes((_request, response) => {
      response.writeHead(200);
      pour(response);
    });
    expect((await setup.failureOf()).code).toBe('SIZE_MISMATCH');
    const [held] = await setup.cache.list();
    expect(held?.received ?? 0).toBeLessThanOrEqual(model.length);
  });

  it('that nobody tells are refused', async () => {
    setup.serveBytes((_request, response) => {
      response.writeHead(200);
      pour(response);
    });
    const error = await setup.failureOf(setup.plain);
    expect([error.code, error.message]).toEqual([
      'SERVER_FAILED',
      expect.stringContaining('how large'),
    ]);
  });

  it.each([
    ['STORAGE_FULL', 2 ** 43],
    ['SIZE_MISMATCH', 2 ** 50],
  ])('that no disk has room for are %s', async (code, size) => {
    setup.serveBytes((_request, response) => {
      response.writeHead(206, { 'content-range': `bytes 0-${size - 1}/${size}`, etag: '"x"' });
      pour(response);
    });
    const error = await setup.failureOf(setup.plain);
    expect([error.code, error.got]).toEqual([code, size]);
    expect(await setup.stored()).toEqual([]);
    expect(await setup.cache.list()).toEqual([]);
  });

  it.each([
    'bytes 5-2999999/3000000',
    'bytes 0-9/4',
    'bytes 0-3000000/3000000',
    'bytes x',
    'bytes 9-3/3000000',
    '0-1/2',
  ])('in Content-Range are refused: %s', async (range) => {
    setup.serveBytes((_request, response) => {
      response.writeHead(206, { 'content-range': range }).end(model);
    });
    expect(['SERVER_FAILED', 'SIZE_MISMATCH']).toContain((await setup.failureOf()).code);
    expect(['SERVER_FAILED', 'SIZE_MISMATCH']).toContain((await setup.failureOf(setup.plain)).code);
  });

  it('of nothing are a file too', async () => {
    const empty = new Uint8Array(0);
    setup.hub.repositories.set('owner/empty', new Map([['model.pth', { bytes: empty }]]));
    setup.hub.files.set('/nothing', { bytes: empty, etag: '"0"' });
    expect(await setup.read('owner/empty')).toHaveLength(0);
    expect(await setup.read(`${setup.hub.url}/nothing`)).toHaveLength(0);
  });
});

describe('bytes that are wrong', () => {
  const wrong: Handler = (request, response) => {
    const bytes = Uint8Array.from(model);
    bytes[2_000_000]! ^= 1;
    sendRange({ request, response }, bytes, { etag: '"1"' });
  };

  it('are not kept', async () => {
    setup.serveBytes(wrong);
    const error = await setup.failureOf();
    expect([error.code, error.expected]).toEqual(['HASH_MISMATCH', sha256(model)]);
    expect(await setup.stored()).toEqual([]);
    expect(await setup.cache.list()).toEqual([]);
    expect(setup.ranges()).toHaveLength(1);
    setup.serveBytes(good);
    await setup.expectModel();
  });

  it("are seen by Git's hash too", async () => {
    setup.hub.repositories.set('owner/small', new Map([['model.pth', { bytes: model }]]));
    setup.serveBytes(wrong);
    const error = await setup.failureOf('owner/small');
    expect([error.code, error.expected]).toEqual(['HASH_MISMATCH', gitHash(model)]);
    setup.serveBytes(good);
    expect(await setup.read('owner/small')).toHaveLength(model.length);
  });

  it('in what lay here already cost one more download, not the model', async () => {
    setup.serveBytes(cutAfter(1_500_000), cutAfter(0));
    await setup.failureOf();
    const [path] = (await readdir(setup.folder, { recursive: true })).filter((each) =>
      each.endsWith('.part'),
    );
    const part = await readFile(join(setup.folder, path!));
    part[10]! ^= 1;
    await writeFile(join(setup.folder, path!), part);
    setup.hub.seen.length = 0;
    setup.serveBytes(good);
    await setup.expectModel();
    expect(setup.ranges()).toEqual([expect.not.stringMatching(/=0-/), 'bytes=0-']);
  });

  it('that the hub gives no proper hash for are refused', async () => {
    const claim = { hash: '../../etc/passwd' };
    setup.hub.repositories.set(
      'owner/repo',
      new Map([['model.pth', { bytes: model, lfs: true, claim }]]),
    );
    expect((await setup.failureOf()).code).toBe('SERVER_FAILED');
  });
});

describe('files that change', () => {
  const replacement = sample(2_500_000, 8);

  it('while they are downloaded are not mixed', async () => {
    setup.serveBytes(cutAfter(1_500_000), (_request, _response, behave) => {
      setup.hub.files.set('/plain', { bytes: replacement, etag: '"2"' });
      behave();
    });
    const error = await setup.failureOf(setup.plain);
    expect([error.code, error.message]).toEqual(['FILE_CHANGED', expect.stringContaining('"2"')]);
    expect(Buffer.compare(await setup.read(setup.plain), replacement)).toBe(0);
  });

  it('between two downloads start anew', async () => {
    setup.serveBytes(cutAfter(1_500_000), cutAfter(0));
    await setup.failureOf(setup.plain);
    setup.hub.files.set('/plain', { bytes: replacement, etag: '"2"' });
    setup.serveBytes(good);
    expect(Buffer.compare(await setup.read(setup.plain), replacement)).toBe(0);
  });

  it('only in their date, too', async () => {
    const before = 'Sat, 21 Nov 2026 10:00:00 GMT';
    setup.hub.files.set('/plain', { bytes: model, lastModified: before });
    await setup.expectModel(setup.plain);
    setup.hub.files.set('/plain', {
      bytes: replacement,
      lastModified: 'Sat, 21 Nov 2026 11:00:00 GMT',
    });
    expect(Buffer.compare(await setup.read(setup.plain), replacement)).toBe(0);
  });
});

describe('any mixture of all that', () => {
  const behaviours: readonly Handler[] = [
    good,
    good,
    cutAfter(1_100_000),
    cutAfter(10),
    cutAfter(1_100_000, { etag: '"2"' }),
    (_request, response) => {
      response.writeHead(503, { 'retry-after': '0' }).end();
    },
    (_request, response) => {
      response.destroy();
    },
    (_request, response) => {
      response.writeHead(200, { 'content-length': model.length }).end(model);
    },
    (_request, response) => {
      response
        .writeHead(206, { 'content-range': `bytes 0-${model.length - 1}/${model.length}` })
        .end(model);
    },
    (request, response) => {
      sendRange({ request, response }, sample(model.length, 3), { etag: '"1"' });
    },
    (_request, response) => {
      response.writeHead(416, { 'content-range': 'bytes */5' }).end();
    },
  ];

  it('gives the right bytes or a typed error, and the next good server the right bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(behaviours.length - 1), { minLength: 1, maxLength: 6 }),
        async (choices) => {
          await setup.cache.clear();
          setup.serveBytes(...choices.map((choice) => behaviours[choice]!));
          for (let call = 0; call < 2; call++) {
            const result = await setup.read(name).catch((error: unknown) => error);
            if (result instanceof Uint8Array) expect(Buffer.compare(result, model)).toBe(0);
            else expect(result).toBeInstanceOf(HubError);
          }
          setup.serveBytes(good);
          await setup.expectModel();
        },
      ),
      { numRuns: 25 },
    );
  });
});
