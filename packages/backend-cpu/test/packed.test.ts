/**
 * Files of packed weights: what comes back is what was written, and whatever else a file holds is refused.
 * Over 400 lines because every damage to a file is made to the same few files, and told beside the others.
 */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackendError, type Op, type Program, type WeightFormat } from '@rwkv-ts/backend';
import { bytesForShape } from '@rwkv-ts/formats';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { handOver } from '../../backend-kit/conformance/session.js';
import { type CpuBackend, createCpuBackend } from '../src/index.js';
import { weightFormats } from '../src/native.js';
import { bundleFixture } from './bundle-fixture.js';
import { openMapped, writeSubject } from './packed-subject.js';
import {
  cheapWeights,
  everyVersion,
  heavyConfig,
  openSubject,
  type Subject,
  tokensOf,
  wideSubject,
} from './subjects.js';

let folder = '';
const at = (name: string): string => join(folder, name);
const tiny = everyVersion.at(-1)!;
const backend: CpuBackend = createCpuBackend({ threads: 2 });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rwkv-packed-'));
});

afterAll(async () => {
  expect(backend.bytes).toBe(0);
  await backend[Symbol.asyncDispose]();
  expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  rmSync(folder, { recursive: true });
});

const write = (subject: Subject, path: string): Promise<void> =>
  writeSubject(backend, { path, config: subject.config, weights: handOver(subject.weights()) });

async function refusal(promise: Promise<unknown>): Promise<BackendError> {
  const error = await promise.then(
    () => expect.fail('it must reject'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BackendError);
  return error as BackendError;
}

describe('a file of packed weights', () => {
  const formats = weightFormats.map((format) => wideSubject(format));
  test.each([...everyVersion, ...formats])('$name computes the same bits', async (subject) => {
    const path = at('same.packed');
    await write(subject, path);
    const batch = batchOf([
      { slot: 0, tokens: tokensOf(20, { seed: 1, below: subject.config.vocabularySize }) },
      { slot: 1, tokens: [1] },
    ]);
    await using uploaded = await openSubject(backend, subject);
    await using mapped = await openMapped(backend, { config: subject.config, path });
    expect([...(await mapped.run(batch))]).toEqual([...(await uploaded.run(batch))]);
  });

  test('has names, sizes and metadata as they were, and gives its memory back', async () => {
    const path = at('kept.packed');
    const metadata = { fingerprint: 'ab', '': 'ünï', ['__proto__']: 'text', long: 'x'.repeat(9e4) };
    await using uploaded = await backend.upload(handOver(tiny.weights()));
    await backend.writePacked(uploaded, path, { metadata });
    const opened = await backend.openPacked(path);
    expect(Object.entries(opened.metadata)).toEqual(Object.entries(metadata));
    expect(opened.weights.bytes).toBe(uploaded.bytes);
    expect(backend.bytes).toBe(2 * uploaded.bytes);

    // What is mapped can be written as well, over the very file that is mapped where the system lets it.
    const copy = at('copy.packed');
    await backend.writePacked(opened.weights, copy, { metadata });
    expect(readFileSync(copy).equals(readFileSync(path))).toBe(true);
    if (process.platform !== 'win32') await backend.writePacked(opened.weights, path);
    await opened.weights[Symbol.asyncDispose]();
    expect(backend.bytes).toBe(uploaded.bytes);
    const again = (await refusal(backend.writePacked(opened.weights, copy))).code;
    expect(again).toBe('DISPOSED');
  });

  test('may be empty', async () => {
    const path = at('empty.packed');
    await using weights = await backend.upload(handOver([]));
    await backend.writePacked(weights, path);
    const opened = await backend.openPacked(path);
    await using mapped = opened.weights;
    expect(opened.metadata).toEqual({});
    expect(mapped.bytes).toBe(0);
  });

  test('counts against the limit of memory', async () => {
    const path = at('limit.packed');
    await write(tiny, path);
    await using small = createCpuBackend({ threads: 1, memoryLimit: 1000 });
    expect(await refusal(small.openPacked(path))).toMatchObject({
      code: 'OUT_OF_MEMORY',
      expected: 1000,
    });
    expect(small.bytes).toBe(0);
  });

  test('is written whole or not at all', async () => {
    const path = at('whole.packed');
    writeFileSync(path, 'the old one');
    const before = readdirSync(folder);
    await using weights = await backend.upload(cheapWeights(heavyConfig));
    const controller = new AbortController();
    const writing = backend.writePacked(weights, path, { signal: controller.signal });
    setTimeout(() => {
      controller.abort();
    }, 5);
    expect((await refusal(writing)).code).toBe('ABORTED');
    const aborted = backend.writePacked(weights, path, { signal: AbortSignal.abort() });
    expect((await refusal(aborted)).code).toBe('ABORTED');

    const short = await backend.upload(cheapWeights(heavyConfig));
    const losing = backend.writePacked(short, path);
    await short[Symbol.asyncDispose]();
    expect((await refusal(losing)).code).toBe('DISPOSED');
    await expect(
      backend.writePacked(weights, join(folder, 'none', 'x.packed')),
    ).rejects.toMatchObject({ code: 'ENOENT' });
    expect(readdirSync(folder)).toEqual(before);
    expect(readFileSync(path, 'utf8')).toBe('the old one');
  });

  test.skipIf(!existsSync('/dev/full'))('a full disk is told as the system tells it', async () => {
    await using weights = await backend.upload(handOver(tiny.weights()));
    // The temporary file lies beside the path, and there nothing can be made.
    await expect(backend.writePacked(weights, '/dev/full/x')).rejects.toMatchObject({
      code: 'ENOTDIR',
    });
  });

  test('other weights and other metadata are mistakes of the caller', async () => {
    await using other = createReferenceBackend();
    await using weights = await other.upload(handOver(tiny.weights()));
    await expect(backend.writePacked(weights, at('x'))).rejects.toThrow(TypeError);
    await using own = await backend.upload(handOver(tiny.weights()));
    const metadata = { n: 1 } as unknown as Record<string, string>;
    await expect(backend.writePacked(own, at('x'), { metadata })).rejects.toThrow(TypeError);
    const huge = await refusal(
      backend.writePacked(own, at('x'), { metadata: { n: 'x'.repeat(2 ** 25) } }),
    );
    expect(huge.code).toBe('WEIGHT_INVALID');
  });

  test('a backend that goes while it opens one says so', async () => {
    const path = at('going.packed');
    await write(tiny, path);
    for (const wait of [0, 1, 2, 3]) {
      const going = createCpuBackend({ threads: 1 });
      const opening = going.openPacked(path);
      opening.catch(() => undefined);
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait / 2));
      await going[Symbol.asyncDispose]();
      await opening.catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'DISPOSED' });
      });
      expect(going.bytes).toBe(0);
    }
  });
});

describe('what is no file of packed weights', () => {
  let original: Buffer;
  beforeAll(async () => {
    await write(tiny, at('original.packed'));
    original = readFileSync(at('original.packed'));
  });

  const opened = async (bytes: Uint8Array): Promise<BackendError | undefined> => {
    const path = at('changed.packed');
    rmSync(path, { force: true });
    writeFileSync(path, bytes);
    try {
      const { weights } = await backend.openPacked(path);
      await weights[Symbol.asyncDispose]();
      return undefined;
    } catch (error) {
      expect(error).toBeInstanceOf(BackendError);
      expect(backend.bytes).toBe(0);
      return error as BackendError;
    }
  };

  /** The file with another header, whose checksum is right; `tensors` are what follows it. */
  const withHeader = (json: string | Uint8Array, tensors: Uint8Array): Buffer => {
    const header = Buffer.from(json as string);
    const bytes = Buffer.alloc(Math.ceil((64 + header.length) / 65536) * 65536);
    original.copy(bytes, 0, 0, 32);
    bytes.writeBigUInt64LE(BigInt(header.length), 24);
    createHash('sha256').update(header).digest().copy(bytes, 32);
    header.copy(bytes, 64);
    return Buffer.concat([bytes, tensors]);
  };
  const headerOf = (bytes: Buffer): string =>
    bytes.toString('utf8', 64, 64 + Number(bytes.readBigUInt64LE(24)));

  test('of other things, and of nothing', async () => {
    await expect(backend.openPacked(at('missing'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await refusal(backend.openPacked(folder))).code).toBe('WEIGHT_INVALID');
    expect((await refusal(backend.openPacked('/dev/null'))).code).toBe('WEIGHT_INVALID');
    for (const bytes of [new Uint8Array(0), new Uint8Array(63), new Uint8Array(1e5)]) {
      expect((await opened(bytes))?.code).toBe('WEIGHT_INVALID');
    }
  });

  test.each([
    ['beginning', 0],
    ['byte order', 8],
    ['version of the file', 12],
    ['version of the packed layouts', 16],
    ['reserved field', 20],
    ['header', 29],
    ['SHA-256 of the header', 40],
    ['SHA-256 of the header', 70],
  ])('another %s at %i', async (what, place) => {
    const bytes = Buffer.from(original);
    bytes[place]! ^= 1;
    const error = await opened(bytes);
    expect(error).toMatchObject({ code: 'WEIGHT_INVALID' });
    expect(error?.message).toContain(`The ${what} of a file of packed weights must be `);
    expect(error?.message).toContain('write the file anew');
  });

  test('a machine with the other order of bytes', async () => {
    const bytes = Buffer.from(original);
    bytes.subarray(8, 12).reverse();
    expect((await opened(bytes))?.message).toContain('byte order');
  });

  test('cut off anywhere, or too long', async () => {
    const start = Math.ceil((64 + headerOf(original).length) / 65536) * 65536;
    const lengths = new Set<number>([0, 1, start - 1, start, start + 1, original.length - 1]);
    for (let length = 0; length < original.length; length += 1 + (original.length >> 9))
      lengths.add(length);
    for (let length = 0; length < 200; length++) lengths.add(length);
    for (const length of lengths) {
      expect((await opened(original.subarray(0, length)))?.code, `${length}`).toBe(
        'WEIGHT_INVALID',
      );
    }
    const longer = Buffer.concat([original, Buffer.alloc(64)]);
    expect((await opened(longer))?.expected).toBe(`${original.length} bytes`);
  });

  test('a thousand changes of the header, with the right checksum', async () => {
    const json = headerOf(original);
    const tensors = original.subarray(Math.ceil((64 + json.length) / 65536) * 65536);
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const snippets = ['0', '9', '-', '1e308', '4294967296', '"', ',', '[]', '{}', 'null', '\0'];
    const codes = new Map<string, number>();
    for (let round = 0; round < 1000; round++) {
      const header = Buffer.from(json);
      const place = random(header.length);
      let changed: Buffer;
      if (round % 2 === 0) {
        header[place] = random(256);
        changed = header;
      } else {
        const cut = random(4);
        changed = Buffer.concat([
          header.subarray(0, place),
          Buffer.from(snippets[random(snippets.length)]!),
          header.subarray(place + cut),
        ]);
      }
      const code = (await opened(withHeader(changed, tensors)))?.code ?? 'taken';
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // Names and metadata may be anything, so some are taken.
    expect([...codes.keys()].sort()).toEqual(['WEIGHT_INVALID', 'taken']);
    expect(codes.get('WEIGHT_INVALID')).toBeGreaterThan(300);
  });

  test.each<[string, object]>([
    ['a huge vector', { shape: [2 ** 52] }],
    ['a huge matrix', { shape: [2 ** 31, 2 ** 21] }],
    ['too many columns', { shape: [1, 2 ** 32] }],
    ['numbers beyond counting', { shape: [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1] }],
    ['no size', { shape: [] }],
    ['a size of zero', { shape: [0, 4] }],
    ['a negative size', { shape: [-1, -64] }],
    ['half a block', { shape: [16, 48], format: 'q8_0' }],
    ['another format', { format: 'q3_k' }],
    ['another layout', { layout: 7 }],
    ['a layout of words', { layout: 'panels' }],
    ['no name', { name: '' }],
    ['one field more', { offset: 64 }],
  ])('%s', async (_, change) => {
    const tensor = { name: 'w', shape: [16, 64], format: 'f32', layout: 0, ...change };
    const json = JSON.stringify({ metadata: {}, tensors: [tensor] });
    expect((await opened(withHeader(json, new Uint8Array(4096))))?.code).toBe('WEIGHT_INVALID');
  });

  test('headers of other shapes', async () => {
    const tensor = { name: 'w', shape: [16], format: 'f32', layout: 0 };
    const twice = { metadata: {}, tensors: [tensor, tensor] };
    const headers = [
      'null',
      '[]',
      '{}',
      '{"metadata":{}}',
      '{"metadata":{"n":1},"tensors":[]}',
      '{"metadata":null,"tensors":[]}',
      '{"metadata":[],"tensors":[]}',
      '{"metadata":{},"tensors":{}}',
      '{"metadata":{},"tensors":[null]}',
      '{"metadata":{},"tensors":[],"more":1}',
      '['.repeat(1e6),
      Buffer.from([0x22, 0xff, 0x22]),
      JSON.stringify(twice),
    ];
    for (const header of headers) {
      const bytes = withHeader(header, new Uint8Array(128));
      expect((await opened(bytes))?.code, String(header.slice(0, 40))).toBe('WEIGHT_INVALID');
    }
  });
});

describe('processes', () => {
  test('share the memory of one file', { timeout: 60_000 }, async () => {
    const path = at('shared.packed');
    await writeSubject(backend, {
      path,
      config: heavyConfig,
      weights: cheapWeights(heavyConfig),
    });
    const bundle = await bundleFixture('packed.fixture');
    try {
      const children = [1, 2].map(() => fork(bundle.path, [path]));
      const next = (index: number) =>
        new Promise((resolve) => children[index]!.once('message', resolve));
      await Promise.all([next(0), next(1)]);
      const answers = [next(0), next(1)];
      for (const child of children) child.send('measure');
      const [first, second] = (await Promise.all(answers)) as Report[];
      expect(second?.rows).toEqual(first?.rows);
      if (process.platform === 'linux') {
        // Half of what is resident counts for each.
        for (const { resident, own } of [first!, second!]) {
          expect(resident).toBeGreaterThan(1000);
          expect(own).toBeLessThan(0.6 * resident);
        }
      }
      const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)));
      for (const child of children) child.send('end');
      expect(await Promise.all(ended)).toEqual([0, 0]);
    } finally {
      bundle.remove();
    }
  });

  interface Report {
    readonly rows: readonly number[];
    readonly resident: number;
    readonly own: number;
  }
});

/** `w` is multiplied by what is mostly zero, or is not. */
function programWith(activation: 'relu2' | 'tanh'): Program {
  const [x, y, out] = [0, 1, 2].map((id) => ({ id, rows: 'T', width: 1 }) as const);
  const ops: Op[] = [
    { kind: 'activate', x: x!, out: y!, activation },
    { kind: 'matmul', x: y!, out: out!, weight: 'w' },
  ];
  return { weights: [], states: [], ops, output: out! };
}

/** Of a matrix. Where one changes, so must `kPackedVersion` of native/kernels/pack.h, and then these. */
const panels: Readonly<Record<WeightFormat, string>> = {
  f32: 'de1afad732460b6b82d1e5947c4c965f',
  f16: '1ff9dcca87a12ce7ca6517430a4eb475',
  bf16: '5485b45082a86d02964799dd6184d9ce',
  q8_0: '331130f84f0c6c2d6a76616b51cac2d1',
  q4_0: '00cc2441a5b7948d5c9b52190556eb31',
  q4_1: 'fd9dd5e9a0a588fd856c3aea61b0a982',
  q5_0: '22c6b72646c97e54cfdecd88e41003ac',
  q5_1: 'aba346a8ff4658419b0ff211733227d8',
  q4_k: '44d2c865d9d3d6dcf1e537e2720d9673',
  q5_k: '968a8edef45e0a024ed1d28855f8d7a6',
  q6_k: '64c40e78f96e640e61bb95e6c97132e5',
};
const columns: Readonly<Record<WeightFormat, string>> = {
  f32: '244f43e4a57eb8ce64cecad32d956290',
  f16: '0ec777955eaaf1e3f9b65cb5dd503a46',
  bf16: '0ec777955eaaf1e3f9b65cb5dd503a46',
  q8_0: '10b4253ca9cf73f35131d9a1050f10d7',
  q4_0: '09e039c0b54619ee31ee7131c0d1530f',
  q4_1: '0efb6f6c96fef878a04868d0116cedbd',
  q5_0: 'f8180872eeb52f87241f9e453f46e2df',
  q5_1: '43658a24cfb06f7efcbc52dbb2fd9566',
  q4_k: '0d68a5b30535f24d99be8760f8754465',
  q5_k: '6306337bc900fad0ba4e5ac71cc2c207',
  q6_k: '46347b7f6245f7494f246db6e01b5a07',
};

describe.each([
  ['panels', panels, programWith('tanh')],
  ['columns', columns, programWith('relu2')],
])('version 2 of %s', (_, digests, program) => {
  test.each(Object.entries(digests))('%s', async (name, digest) => {
    const format = name as WeightFormat;
    const shape = [200, 512];
    const bytes = new Uint8Array(bytesForShape(format, shape));
    for (let index = 0; index < bytes.length; index++)
      bytes[index] = (index * 7 + (index >> 8)) % 251;
    const path = at('layout.packed');
    const source = handOver([{ name: 'w', shape, format, bytes }]);
    await using weights = await backend.upload(source, { program });
    await backend.writePacked(weights, path);
    const file = readFileSync(path);
    expect(file.readUInt32LE(16)).toBe(2);
    const packed = createHash('sha256').update(file.subarray(65536)).digest('hex');
    expect(packed.slice(0, 32)).toBe(digest);
  });
});
