/** Ways of a server to misbehave, for tests. */
import type { ServerResponse } from 'node:http';
import { expect } from 'vitest';
import type { HubError } from '../src/index.node.js';
import { type CacheSetup, setUpCache } from './cache-setup.js';
import { expectFailure } from './expect-failure.js';
import { type Handler, sample } from './test-hub.js';

export const model = sample(3_000_000);
/** The model in the test hub's only repository. */
export const name = 'owner/repo:model.pth';

export const good: Handler = (_request, _response, behave) => {
  behave();
};

export const startOf = (range: string | undefined): number =>
  Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);

/** Announces everything from the start of the range, and sends `count` bytes of it. */
export const cutAfter =
  (count: number, headers: Readonly<Record<string, string>> = {}): Handler =>
  (request, response) => {
    const start = startOf(request.headers.range);
    response.writeHead(206, {
      etag: '"1"',
      'content-length': model.length - start,
      'content-range': `bytes ${start}-${model.length - 1}/${model.length}`,
      ...headers,
    });
    response.write(model.subarray(start, start + count), () => response.destroy());
  };

/** Writes for ever, as fast as it is read. */
export function pour(response: ServerResponse): void {
  const write = (): void => {
    if (response.destroyed) return;
    response.write(Buffer.alloc(65_536), () => setImmediate(write));
  };
  write();
}

export interface HostileSetup extends CacheSetup {
  /** The same model at a plain URL. */
  readonly plain: string;
  /** Handles requests for bytes, one function after the other, the last for all that follow; the hub's answers stay good. */
  serveBytes(...handlers: readonly Handler[]): void;
  /** The Range headers of requests for bytes. */
  ranges(): readonly (string | undefined)[];
  expectModel(reference?: string): Promise<void>;
  /** The error of reading, after which nothing may count as verified. */
  failureOf(reference?: string, given?: Parameters<CacheSetup['read']>[1]): Promise<HubError>;
}

export async function setUpHostile(): Promise<HostileSetup> {
  const setup = await setUpCache();
  const { hub } = setup;
  hub.repositories.set('owner/repo', new Map([['model.pth', { bytes: model, lfs: true }]]));
  hub.files.set('/plain', { bytes: model, etag: '"1"' });
  return {
    ...setup,
    plain: `${hub.url}/plain`,
    serveBytes: (...handlers) => {
      let count = 0;
      hub.handler = (request, response, behave) => {
        if (request.url?.startsWith('/api/') === true) behave();
        else (handlers[Math.min(count++, handlers.length - 1)] ?? good)(request, response, behave);
      };
    },
    ranges: () => hub.downloads().map(({ range }) => range),
    expectModel: async (reference = name) => {
      expect(Buffer.compare(await setup.read(reference), model)).toBe(0);
    },
    failureOf: async (reference = name, given = {}) => {
      const error = await expectFailure(setup.read(reference, given));
      const models = await setup.cache.list();
      expect(models.every(({ state }) => state !== 'verified')).toBe(true);
      return error;
    },
  };
}
