import { readFileSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  type DocumentSource,
  isHeldOut,
  openTokens,
  prepareTokens,
  type PrepareProgress,
  StreamEncoder,
  createTokenWriter,
  type TokenData,
} from '@rwkv-ts/train';
import {
  bpeTokenizer20b,
  byteTokenizer,
  type Tokenizer,
  worldTokenizerFromText,
} from '@rwkv-ts/tokenizer';
import { memorySink, memorySource } from '@rwkv-ts/weights';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** The shape of World's vocabulary: 0 ends a text, 1 to 256 are the bytes, then longer tokens that reach over words. */
const longTokens = [
  '\n\n',
  ' the',
  'the',
  ' of the',
  'é',
  '好的',
  'ab',
  'abc',
  '. ',
  '12',
  '  ',
  '.\n',
];
const tokenizer = worldTokenizerFromText(
  [
    ...Array.from(
      { length: 256 },
      (_, byte) => `${byte + 1} b'\\x${byte.toString(16).padStart(2, '0')}' 1`,
    ),
    ...longTokens.map(
      (text, at) => `${257 + at} ${JSON.stringify(text)} ${Buffer.byteLength(text)}`,
    ),
    '',
  ].join('\n'),
);

function encodeInPieces(used: Tokenizer, text: string, lengths: readonly number[]): Uint32Array {
  const encoder = new StreamEncoder(used, { pieceUnits: 2048, mostUnits: 16_384 });
  const found: Uint32Array[] = [];
  let at = 0;
  for (let piece = 0; at < text.length; piece++) {
    const length = Math.max(1, lengths[piece % lengths.length]!);
    found.push(...encoder.push(text.slice(at, at + length)));
    at += length;
  }
  found.push(encoder.flush());
  const tokens = new Uint32Array(found.reduce((sum, part) => sum + part.length, 0));
  at = 0;
  for (const part of found) {
    tokens.set(part, at);
    at += part.length;
  }
  return tokens;
}

/** Encodes in pieces and at once. */
function expectSame(used: Tokenizer, text: string, lengths: readonly number[]): void {
  const [found, expected] = [encodeInPieces(used, text, lengths), used.encode(text)];
  const difference = expected.findIndex((token, at) => token !== found[at]);
  expect({ length: found.length, difference }).toEqual({ length: expected.length, difference: -1 });
}

/** Text that seldom has a place to cut, often, or never. */
const words = fc.constantFrom(
  'the',
  ' of',
  ' the',
  '\n',
  '\n\n',
  ' ',
  '  ',
  'é',
  'e\u0301',
  '好的',
  '.',
  '12',
  '😀',
  'ab',
  'abc',
  "'s",
  '\t',
);
const longText = fc
  .tuple(fc.array(words, { minLength: 1, maxLength: 40 }), fc.integer({ min: 2000, max: 20_000 }))
  .map(([parts, length]) => parts.join('').repeat(Math.ceil(length / parts.join('').length)));

describe('StreamEncoder', () => {
  const require = createRequire(import.meta.url);
  const path20b = pathOf20b();
  function pathOf20b(): string | undefined {
    try {
      const path = require.resolve('rwkv-tokenizer-node/20B_tokenizer.json', {
        paths: [new URL('../../../tokenizer', import.meta.url).pathname],
      });
      return existsSync(path) ? path : undefined;
    } catch {
      return undefined;
    }
  }

  it.each([
    ['a greedy tokenizer', tokenizer],
    ['bytes', byteTokenizer()],
  ] as const)('gives the tokens of the whole text, %s', (_, used) => {
    fc.assert(
      fc.property(
        longText,
        fc.array(fc.nat(10_000), { minLength: 1, maxLength: 3 }),
        (text, lengths) => {
          expectSame(used, text, lengths);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('does so where no place to cut is found for long', () => {
    for (const text of [
      '好的é'.repeat(15_000),
      'ab '.repeat(3000) + 'abc'.repeat(15_000) + ' the end',
    ])
      expectSame(tokenizer, text, [2049, 99]);
  });

  it.skipIf(path20b === undefined)('does so for a byte-level BPE', async () => {
    const used = await bpeTokenizer20b(readFileSync(path20b!, 'utf8'));
    fc.assert(
      fc.property(longText, fc.nat(10_000), (text, length) => {
        expectSame(used, text.slice(0, 15_000), [length]);
      }),
      { numRuns: 40 },
    );
    // Normalised on the way, so that bytes cannot be counted.
    expectSame(used, 'the e\u0301 the thee\u0301the '.repeat(1000), [2048]);
    expectSame(used, `${'the e\u0301 '.repeat(600)}${'the '.repeat(600)}`, [999]);
  });
});

async function* chunksOf(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.slice(at, at + length);
}

function source(
  text: string | Uint8Array,
  { chunk = 7, ...rest }: Partial<DocumentSource> & { chunk?: number } = {},
): DocumentSource {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  return {
    name: 'input',
    format: 'text',
    size: bytes.length,
    bytes: chunksOf(bytes, chunk),
    ...rest,
  };
}

interface Prepared {
  readonly result: Awaited<ReturnType<typeof prepareTokens>>;
  readonly documents: string[];
  readonly heldOut: string[];
  /** Of the training data, 1 or 0 a token. */
  readonly mask: string;
  readonly progress: PrepareProgress[];
}

interface Files {
  readonly writer: ReturnType<typeof createTokenWriter>;
  open(): Promise<TokenData>;
}

function files(vocabularySize: number): Files {
  const sinks = Array.from({ length: 4 }, () => memorySink());
  const writer = createTokenWriter({
    tokens: sinks[0]!,
    index: sinks[1]!,
    openMask: async () => ({ tokens: sinks[2]!, index: sinks[3]! }),
    vocabularySize,
  });
  return {
    writer,
    async open() {
      await writer.close();
      const [tokens, index] = sinks
        .map((sink) => sink)
        .slice(0, 2)
        .map((sink) => memorySource(sink.bytes()));
      const mask =
        writer.learned < writer.tokens
          ? {
              mask: {
                tokens: memorySource(sinks[2]!.bytes()),
                index: memorySource(sinks[3]!.bytes()),
              },
            }
          : {};
      return openTokens({ tokens: tokens!, index: index! }, mask);
    },
  };
}

async function texts(data: TokenData, used: Tokenizer): Promise<string[]> {
  const found: string[] = [];
  for (let at = 0; at < data.documents; at++) {
    const { offset, length } = await data.document(at);
    const tokens = [...(await data.read(offset, length))];
    const ends = tokens.at(-1) === 0;
    found.push(used.decode(tokens) + (ends ? '|' : ''));
  }
  return found;
}

async function prepare(
  sources: DocumentSource[],
  options: { share?: number; seed?: number; endOfDocument?: number | null } = {},
): Promise<Prepared> {
  const { share, seed, ...rest } = options;
  const training = files(tokenizer.vocabularySize);
  const heldOut = share === undefined ? undefined : files(tokenizer.vocabularySize);
  const progress: PrepareProgress[] = [];
  const result = await prepareTokens({
    sources,
    tokenizer,
    training: training.writer,
    ...rest,
    ...(heldOut === undefined
      ? {}
      : {
          heldOut: {
            writer: heldOut.writer,
            share: share!,
            ...(seed === undefined ? {} : { seed }),
          },
        }),
    onProgress: (each) => progress.push(each),
  });
  const data = await training.open();
  return {
    result,
    documents: await texts(data, tokenizer),
    heldOut: heldOut === undefined ? [] : await texts(await heldOut.open(), tokenizer),
    mask: [...((await data.readMask?.(0, data.tokens)) ?? [])].join(''),
    progress,
  };
}

describe('prepareTokens', () => {
  it('reads text as one document, or as several between separators', async () => {
    const one = await prepare([source('\ufeffHello é\nworld'), source('second')]);
    expect(one.documents).toEqual(['Hello é\nworld|', 'second|']);
    expect(one.result).toEqual({ bytes: 23, training: { tokens: 21, documents: 2, learned: 21 } });
    const several = await prepare([
      source('one<end>two <en<end><end>three<end>', { separator: '<end>' }),
    ]);
    expect(several.documents).toEqual(['one|', 'two <en|', 'three|']);
    expect((await prepare([source('one two')], { endOfDocument: null })).documents).toEqual([
      'one two',
    ]);
    expect((await prepare([source('one')], { endOfDocument: 11 })).documents).toEqual(['one\n']);
  });

  it('reads JSON lines, and masks prompts', async () => {
    const lines = [
      '{"text":"a\u2028b","meta":1}',
      '',
      '"bare"',
      '{"prompt":"ab","completion":"c d"}',
      '{"text":""}',
    ];
    const { documents, mask, result } = await prepare([
      source(lines.join('\r\n'), { format: 'jsonl' }),
    ]);
    expect(documents).toEqual(['a\u2028b|', 'bare|', 'abc d|']);
    // 'ab' alone is one token, though 'abc' would be another: the prompt is encoded as it is asked.
    expect(mask).toBe('111111' + '11111' + '01111');
    expect(result.training).toEqual({ tokens: 16, documents: 3, learned: 15 });
  });

  it('says how far it is', async () => {
    const { progress } = await prepare([source('abc '.repeat(100)), source('x', { chunk: 1 })]);
    expect(progress.at(-1)).toMatchObject({ bytes: 401, bytesTotal: 401, documents: 2 });
    const bytes = progress.map((each) => each.bytes);
    expect(bytes).toEqual([...bytes].sort((a, b) => a - b));
    const unknown = await prepare([
      { name: 'pipe', format: 'text', bytes: chunksOf(Uint8Array.of(97), 1) },
    ]);
    expect(unknown.progress.at(-1)!.bytesTotal).toBeUndefined();
  });

  it('holds out documents, or the end of a text', async () => {
    const lines = Array.from({ length: 100 }, (_, at) => `{"text":"t${at}"}`).join('\n');
    const split = await prepare([source(lines, { format: 'jsonl' })], { share: 0.05, seed: 3 });
    expect(split.heldOut).toHaveLength(5);
    expect([...split.documents, ...split.heldOut].sort()).toEqual(
      Array.from({ length: 100 }, (_, at) => `t${at}|`).sort(),
    );
    expect(
      await prepare([source(lines, { format: 'jsonl' })], { share: 0.05, seed: 3 }),
    ).toMatchObject({ heldOut: split.heldOut });
    const other = await prepare([source(lines, { format: 'jsonl' })], { share: 0.05, seed: 4 });
    expect(other.heldOut).not.toEqual(split.heldOut);
    const text = 'word '.repeat(50);
    for (const chunk of [1, 7, 1000]) {
      const end = await prepare([source(text, { chunk })], { share: 0.1 });
      // 225 of 250 bytes, and on to the end of the word.
      expect(end.documents).toEqual([`${'word '.repeat(46)}|`]);
      expect(end.heldOut).toEqual([`${'word '.repeat(4)}|`]);
    }
    await expect(prepare([source('oneword')], { share: 0.5 })).rejects.toMatchObject({
      code: 'TOO_FEW_TOKENS',
    });
    await expect(
      prepare([{ name: 'pipe', format: 'text', bytes: chunksOf(Uint8Array.of(97), 1) }], {
        share: 0.5,
      }),
    ).rejects.toThrow(/pipe: .* needs its size/);
  });

  it('keeps the share, whatever it is', () => {
    for (const share of [0.5, 0.3, 0.1, 0.0137, 0.001]) {
      for (const seed of [0, 1, 99]) {
        let held = 0;
        for (let document = 0; document < 10_000; document++)
          held += Number(isHeldOut(document, { share, seed }));
        expect(Math.abs(held - 10_000 * share)).toBeLessThan(share > 0.2 ? 300 : 10);
      }
    }
  });

  it('refuses what is no text, and says where', async () => {
    const jsonl = (text: string) =>
      prepare([source(text, { format: 'jsonl', name: 'data.jsonl' })]);
    await expect(prepare([source(Uint8Array.of(97, 0xff, 98))])).rejects.toMatchObject({
      code: 'TEXT_INVALID',
    });
    await expect(prepare([source(Uint8Array.of(97, 0xc3))])).rejects.toThrow(/input is not UTF-8/);
    await expect(jsonl('"a"\n{"text":')).rejects.toThrow(
      /data\.jsonl: line 2 is not JSON: \{"text":/,
    );
    await expect(jsonl('{"prompt":"a"}')).rejects.toThrow(
      /line 1: expected .* got the fields prompt/,
    );
    for (const wrong of ['[1]', '5', 'null', '{"text":5}', '{}'])
      await expect(jsonl(wrong)).rejects.toMatchObject({ code: 'TEXT_INVALID' });
    await expect(prepare([source('')])).rejects.toMatchObject({ code: 'TOO_FEW_TOKENS' });
    await expect(
      prepareTokens({
        sources: [source('a')],
        tokenizer,
        training: files(269).writer,
        signal: AbortSignal.abort(),
      }),
    ).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
