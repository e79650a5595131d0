/** Against a real server on this machine that can misbehave in every way a test asks for. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { Random } from '../../test/fuzz/random.js';
import { patternTensor, writePth } from '../../test/writers/index.js';
import { openRawFile } from '../open-raw-file.js';
import { httpSource } from './http-source.js';
import type { HttpSourceOptions } from './http-source.js';

const bytes = new Random(3).bytes(300_000);
const quick: HttpSourceOptions = {
  retryDelay: 1,
  retries: 2,
  cache: { blockBytes: 1024, blocks: 16 },
};

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** From 0 for the first request of a test. */
  readonly count: number;
  readonly range: { readonly start: number; readonly end: number } | undefined;
}
type Handler = (asked: Asked) => void;

let server: Server;
let url = '';
let file: Uint8Array = bytes;
let count = 0;
/** Returns true when it has answered in its own way. */
let misbehave: (asked: Asked) => boolean = () => false;
const seen: IncomingMessage[] = [];

const behave: Handler = ({ response, range, request }) => {
  response.setHeader('ETag', '"one"');
  if (range === undefined) {
    response
      .writeHead(200, { 'Content-Length': file.length })
      .end(request.method === 'HEAD' ? undefined : file);
    return;
  }
  if (range.start >= file.length) {
    response.writeHead(416, { 'Content-Range': `bytes */${file.length}` }).end();
    return;
  }
  const end = Math.min(range.end, file.length);
  response.writeHead(206, { 'Content-Range': `bytes ${range.start}-${end - 1}/${file.length}` });
  response.end(file.subarray(range.start, end));
};

beforeAll(async () => {
  server = createServer((request, response) => {
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const range =
      match === null ? undefined : { start: Number(match[1]), end: Number(match[2]) + 1 };
    seen.push(request);
    const asked = { request, response, count: count++, range };
    if (!misbehave(asked)) behave(asked);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.pth`;
});
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});
beforeEach(() => {
  file = bytes;
  count = 0;
  seen.length = 0;
  misbehave = () => false;
});

/** Everything right but a few headers or the body. */
function answer(
  { response, range }: Asked,
  headers: Record<string, string>,
  body?: Uint8Array,
): void {
  const { start, end } = range!;
  response.writeHead(206, {
    'Content-Range': `bytes ${start}-${end - 1}/${file.length}`,
    ...headers,
  });
  response.end(body ?? file.subarray(start, end));
}

describe('httpSource', () => {
  it('reads any range', async () => {
    await using source = await httpSource(url, quick);
    expect(source).toMatchObject({ size: bytes.length, name: url });
    const random = new Random(4);
    for (let i = 0; i < 40; i++) {
      const offset = random.below(bytes.length);
      const length = random.below(Math.min(20_000, bytes.length - offset));
      expect(await source.read(offset, length)).toEqual(bytes.slice(offset, offset + length));
    }
    await expectCode(source.read(bytes.length - 1, 2), 'READ_OUT_OF_RANGE');
  });

  it('opens a model of hundreds of tensors with few requests', async () => {
    file = writePth({
      tensors: Array.from({ length: 600 }, (_, i) => patternTensor(`blocks.${i}.w`, [8], 'f32')),
    });
    await using model = await openRawFile(await httpSource(url));
    const opening = count;
    for (const tensor of model.tensors.values())
      expect(await tensor.read()).toEqual(patternTensor(tensor.name, [8], 'f32').bytes);
    // The start, which tells that ranges work, and the directory at the end in one or two runs.
    expect(opening).toBeLessThanOrEqual(4);
    expect(count).toBeLessThan(12);
  });

  it('sends the headers it was given, with every request', async () => {
    await using source = await httpSource(url, {
      ...quick,
      headers: { Authorization: 'Bearer secret' },
    });
    await source.read(200_000, 10);
    expect(seen).toHaveLength(2);
    for (const { headers } of seen) expect(headers.authorization).toBe('Bearer secret');
  });

  it('uses the fetch it was given', async () => {
    const asked: string[] = [];
    await httpSource(url, {
      ...quick,
      fetch: async (input, init) => {
        asked.push(input as string);
        return fetch(input, init);
      },
    });
    expect(asked).toEqual([url]);
  });

  it.each([0, 1, 500, 1023])('reads a file of %d bytes', async (length) => {
    file = bytes.subarray(0, length);
    await using source = await httpSource(url, quick);
    expect(source.size).toBe(length);
    expect(await source.read(0, length)).toEqual(bytes.slice(0, length));
  });

  it('takes a small file from a server without ranges, and refuses a large one', async () => {
    misbehave = (asked) => {
      behave({ ...asked, range: undefined });
      return true;
    };
    file = bytes.subarray(0, 1000);
    await using source = await httpSource(url, quick);
    expect(await source.read(100, 50)).toEqual(bytes.slice(100, 150));
    file = bytes;
    await expectCode(httpSource(url, quick), 'SOURCE_FAILED', /ignores Range/);
  });

  it('names a web page', async () => {
    misbehave = ({ response }) => {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>'.padEnd(5000));
      return true;
    };
    await expectCode(httpSource(url, quick), 'SOURCE_FAILED', /web page/);
  });

  it('learns the size by HEAD where Content-Range is hidden', async () => {
    misbehave = ({ response, range }) => {
      if (range === undefined) return false;
      response.writeHead(206).end(file.subarray(range.start, range.end));
      return true;
    };
    await using source = await httpSource(url, quick);
    expect(source.size).toBe(bytes.length);
    expect(await source.read(100_000, 5000)).toEqual(bytes.slice(100_000, 105_000));
  });
});

describe('httpSource and failures that pass', () => {
  it.each([429, 500, 503, 408])('tries again after %d', async (status) => {
    misbehave = ({ response, count: n }) => {
      if (n >= 2) return false;
      response.writeHead(status, { 'Retry-After': '0' }).end();
      return true;
    };
    await expect(httpSource(url, quick)).resolves.toMatchObject({ size: bytes.length });
    expect(count).toBe(3);
  });

  it('tries again after a broken connection, and continues a body that broke off', async () => {
    await using source = await httpSource(url, quick);
    const starts: number[] = [];
    misbehave = ({ request, response, range, count: n }) => {
      starts.push(range!.start);
      if (n === 1) {
        request.socket.destroy();
        return true;
      }
      if (n > 2) return false;
      response.writeHead(206, {
        'Content-Range': `bytes ${range!.start}-${range!.end - 1}/${file.length}`,
        'Content-Length': range!.end - range!.start,
      });
      response.write(file.subarray(range!.start, range!.start + 60_000), () => {
        setTimeout(() => request.socket.destroy(), 20);
      });
      return true;
    };
    expect(await source.read(100_000, 150_000)).toEqual(bytes.slice(100_000, 250_000));
    expect(starts.slice(0, 2)).toEqual([100_000, 100_000]);
    expect(starts.at(-1)).toBeGreaterThan(100_000);
  });

  it('tries again when the first body breaks off', async () => {
    misbehave = ({ request, response, range, count: n }) => {
      if (n >= 2) return false;
      response.writeHead(206, {
        'Content-Range': `bytes 0-${range!.end - 1}/${file.length}`,
        'Content-Length': range!.end,
      });
      response.write(file.subarray(0, 100), () => setTimeout(() => request.socket.destroy(), 20));
      return true;
    };
    await using source = await httpSource(url, quick);
    expect(count).toBe(3);
    expect(await source.read(0, 1024)).toEqual(bytes.slice(0, 1024));
    expect(count).toBe(3);
    misbehave = ({ request }) => {
      request.socket.destroy();
      return true;
    };
    await expectCode(httpSource(url, quick), 'SOURCE_FAILED', /3 times/);
  });

  it('tries again when nothing comes any more: no headers, half a first block, half a body', async () => {
    const options = { ...quick, stallTimeout: 60 };
    const stall: Handler = ({ response, range, count: n }) => {
      if (n % 2 === 0) return;
      response.writeHead(206, {
        'Content-Range': `bytes ${range!.start}-${range!.end - 1}/${file.length}`,
        'Content-Length': range!.end - range!.start,
      });
      response.write(file.subarray(range!.start, range!.start + 300));
    };
    misbehave = (asked) => {
      if (asked.count === 2 || asked.count >= 5) return false;
      stall(asked);
      return true;
    };
    await using source = await httpSource(url, options);
    expect(count).toBe(3);
    expect(await source.read(100_000, 20_000)).toEqual(bytes.slice(100_000, 120_000));
    expect(count).toBe(6);
    misbehave = (asked) => {
      stall(asked);
      return true;
    };
    await expectCode(source.read(200_000, 20_000), 'SOURCE_FAILED');
    await expectCode(httpSource(url, options), 'SOURCE_FAILED', /3 times/);
    await expect(httpSource(url, { ...quick, stallTimeout: 0 })).rejects.toThrow(TypeError);
  });

  it('asks for the rest where the server sends less than was asked for', async () => {
    await using source = await httpSource(url, quick);
    misbehave = (asked) => {
      const { start } = asked.range!;
      const end = Math.min(asked.range!.end, start + 7000);
      behave({ ...asked, range: { start, end } });
      return true;
    };
    expect(await source.read(100_000, 15_000)).toEqual(bytes.slice(100_000, 115_000));
  });

  it('gives up after the retries it may make', async () => {
    misbehave = ({ response }) => {
      response.writeHead(503).end();
      return true;
    };
    await expectCode(httpSource(url, quick), 'SOURCE_FAILED', /503.*3 times/);
    expect(count).toBe(3);
    const unreachable = httpSource('http://127.0.0.1:1/', { ...quick, retries: 1 });
    await expectCode(unreachable, 'SOURCE_FAILED', /network request failed, 2 times/);
  });

  it('gives up on bodies that always end early', async () => {
    await using source = await httpSource(url, quick);
    misbehave = (asked) => {
      answer(asked, {}, file.subarray(asked.range!.start, asked.range!.start + 10));
      return true;
    };
    await expectCode(source.read(0, 20_000), 'SOURCE_FAILED', /early/);
  });
});

describe('httpSource and failures that stay', () => {
  it.each([
    [404, /no such file/],
    [403, /forbidden/],
    [401, /authorisation/],
  ])('does not try again after %d', async (status, message) => {
    misbehave = ({ response }) => {
      response.writeHead(status).end();
      return true;
    };
    await expectCode(httpSource(url, quick), 'SOURCE_FAILED', message);
    expect(count).toBe(1);
  });

  const later: readonly (readonly [string, RegExp, Handler])[] = [
    [
      'another ETag',
      /changed.*ETag/,
      (asked) => {
        answer(asked, { ETag: '"two"' });
      },
    ],
    [
      'another size',
      /changed.*size/,
      (asked) => {
        answer(asked, {
          'Content-Range': `bytes ${asked.range!.start}-${asked.range!.end - 1}/9999999`,
        });
      },
    ],
    [
      'another range',
      /answered the range/,
      (asked) => {
        answer(asked, {
          'Content-Range': `bytes 0-${asked.range!.end - asked.range!.start - 1}/${file.length}`,
        });
      },
    ],
    [
      'compression',
      /compresses/,
      (asked) => {
        answer(asked, { 'Content-Encoding': 'br' });
      },
    ],
    [
      'too much',
      /more than the range/,
      (asked) => {
        answer(asked, {}, file.subarray(0, asked.range!.end - asked.range!.start + 5));
      },
    ],
    [
      'the whole file',
      /may have changed/,
      (asked) => {
        behave({ ...asked, range: undefined });
      },
    ],
    [
      '416',
      /may have changed/,
      ({ response }) => {
        response.writeHead(416).end();
      },
    ],
  ];
  it.each(later)('refuses %s later', async (_, message, handler) => {
    await using source = await httpSource(url, quick);
    misbehave = (asked) => {
      handler(asked);
      return true;
    };
    await expectCode(source.read(50_000, 20_000), 'SOURCE_FAILED', message);
  });

  it('aborts: while opening, while waiting to retry, in the middle of a body, by disposal', async () => {
    await expectCode(httpSource(url, { ...quick, signal: AbortSignal.abort() }), 'ABORTED');
    const source = await httpSource(url, { ...quick, retryDelay: 60_000 });
    misbehave = ({ response }) => {
      response.writeHead(503).end();
      return true;
    };
    await expectCode(source.read(50_000, 10, { signal: AbortSignal.timeout(50) }), 'ABORTED');
    misbehave = ({ response, range }) => {
      response.writeHead(206, {
        'Content-Range': `bytes ${range!.start}-${range!.end - 1}/${file.length}`,
      });
      response.write(file.subarray(0, 100));
      return true;
    };
    await expectCode(source.read(100_000, 20_000, { signal: AbortSignal.timeout(50) }), 'ABORTED');
    const waiting = source.read(100_000, 20_000);
    setTimeout(() => void source[Symbol.asyncDispose](), 20);
    await expectCode(waiting, 'ABORTED');
  });
});
