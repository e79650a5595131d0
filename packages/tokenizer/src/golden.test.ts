/** The vectors made with the official Python tokenizers. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as arbitrary from '../test/arbitraries.js';
import {
  firstDifference,
  goldenFolder,
  goldenNote,
  goldenVocabulary,
  hasGolden,
  SlowMatcher,
  vocabularyGguf,
} from '../test/vocabulary.js';
import { assertTokenizerFits } from './fit.js';
import type { Tokenizer } from './tokenizer.js';
import {
  worldTokenizerFromBinary,
  worldTokenizerFromGguf,
  worldTokenizerFromText,
  worldTokenizerToBinary,
} from './world.js';

interface Corpus {
  id: string;
  file: string | null;
  bytes: number;
  bytes_sha256: string;
  token_count: number;
  ids_sha256_u16le: string;
  ids_sha256_u32le: string;
  first_ids: number[];
  last_ids: number[];
  valid_utf8: boolean;
}
interface Manifest {
  vocabulary: { file_sha256: string; parsed_sha256: string; entries: number };
  corpora: Corpus[];
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const lines = <Row>(file: string): Row[] =>
  readFileSync(`${goldenFolder}/${file}`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

function corpusBytes(corpus: Corpus): Uint8Array {
  if (corpus.file !== null) return readFileSync(`${goldenFolder}/${corpus.file}`);
  if (corpus.id === 'byte-pairs')
    return Uint8Array.from({ length: 131072 }, (_, at) =>
      at % 2 === 0 ? at >> 9 : (at >> 1) & 255,
    );
  if (corpus.id !== 'all-scalars') throw new Error(`no recipe for corpus ${corpus.id}`);
  let text = '';
  for (let code = 0; code <= 0x1ffff; code++)
    if (code < 0xd800 || code > 0xdfff) text += String.fromCodePoint(code);
  return new TextEncoder().encode(text);
}

describe.skipIf(!hasGolden)(`World golden vectors${goldenNote}`, () => {
  const manifest = JSON.parse(
    hasGolden ? readFileSync(`${goldenFolder}/manifest.json`, 'utf8') : '{"corpora":[]}',
  ) as Manifest;
  const vocabularyText = hasGolden ? readFileSync(goldenVocabulary, 'utf8') : '';
  const tokenizer = hasGolden ? worldTokenizerFromText(vocabularyText) : ({} as Tokenizer);
  const tokens = hasGolden
    ? Array.from({ length: manifest.vocabulary.entries }, (_, index) =>
        tokenizer.tokenBytes(index + 1),
      )
    : [];

  it('reads the vocabulary exactly', () => {
    expect(sha256(Buffer.from(vocabularyText))).toBe(manifest.vocabulary.file_sha256);
    const hash = createHash('sha256');
    tokens.forEach((token, index) => {
      const id = index + 1;
      hash.update(Uint8Array.of(id & 255, id >> 8, token.length)).update(token);
    });
    expect(hash.digest('hex')).toBe(manifest.vocabulary.parsed_sha256);
    expect(tokenizer).toMatchObject({ name: 'world', vocabularySize: 65530, endOfText: 0 });
    assertTokenizerFits(tokenizer, 65536);
    expect(() => {
      assertTokenizerFits(tokenizer, 50277);
    }).toThrow(expect.objectContaining({ code: 'VOCABULARY_MISMATCH' }));
  });

  it('is the same vocabulary from the binary form, a quarter of the size, and from GGUF strings', () => {
    const binary = worldTokenizerToBinary(tokenizer);
    expect(binary.length).toBeLessThan(vocabularyText.length / 4);
    expect(Buffer.compare(worldTokenizerToBinary(worldTokenizerFromBinary(binary)), binary)).toBe(
      0,
    );
    const fromGguf = worldTokenizerFromGguf(vocabularyGguf(tokens, 65536));
    expect(fromGguf.vocabularySize).toBe(65530);
    expect(Buffer.compare(worldTokenizerToBinary(fromGguf), binary)).toBe(0);
  });

  it('finds every token by its bytes', () => {
    const wrong = tokens.findIndex((token, index) => tokenizer.tokenOf(token) !== index + 1);
    expect(wrong).toBe(-1);
  });

  it('encodes the 250 strings', () => {
    const rows = lines<{ id: string; text: string; ids: number[] }>('strings.jsonl');
    expect(rows).toHaveLength(250);
    for (const row of rows) {
      expect(Array.from(tokenizer.encode(row.text)), row.id).toEqual(row.ids);
      expect(Array.from(tokenizer.encodeBytes(new TextEncoder().encode(row.text))), row.id).toEqual(
        row.ids,
      );
      expect(tokenizer.count(row.text), row.id).toBe(row.ids.length);
      expect(tokenizer.decode(row.ids), row.id).toBe(row.text);
      const decoder = tokenizer.createDecoder();
      expect(row.ids.map((id) => decoder.push(id)).join('') + decoder.flush(), row.id).toBe(
        row.text,
      );
    }
  });

  it('encodes the 80 byte strings', () => {
    const rows = lines<{ id: string; hex: string; ids: number[] }>('bytes.jsonl');
    expect(rows).toHaveLength(80);
    for (const row of rows) {
      expect(Array.from(tokenizer.encodeBytes(Buffer.from(row.hex, 'hex'))), row.id).toEqual(
        row.ids,
      );
      expect(Buffer.from(tokenizer.decodeBytes(row.ids)).toString('hex'), row.id).toBe(row.hex);
    }
  });

  it('decodes the 35 id sequences', () => {
    const rows = lines<{ id: string; ids: number[]; hex: string; reencoded_ids: number[] }>(
      'decode.jsonl',
    );
    expect(rows).toHaveLength(35);
    for (const row of rows) {
      const bytes = Buffer.from(row.hex, 'hex');
      expect(Buffer.from(tokenizer.decodeBytes(row.ids)).toString('hex'), row.id).toBe(row.hex);
      expect(Array.from(tokenizer.encodeBytes(bytes)), row.id).toEqual(row.reencoded_ids);
      expect(tokenizer.decode(row.ids), row.id).toBe(
        new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
      );
    }
  });

  it.each(manifest.corpora)('encodes the corpus $id', (corpus) => {
    const bytes = corpusBytes(corpus);
    expect(bytes.length).toBe(corpus.bytes);
    expect(sha256(bytes)).toBe(corpus.bytes_sha256);
    const ids = tokenizer.encodeBytes(bytes);
    expect(ids.length).toBe(corpus.token_count);
    expect(Array.from(ids.slice(0, 12))).toEqual(corpus.first_ids);
    expect(Array.from(ids.slice(-12))).toEqual(corpus.last_ids);
    expect(sha256(new Uint8Array(ids.buffer))).toBe(corpus.ids_sha256_u32le);
    expect(sha256(new Uint8Array(Uint16Array.from(ids).buffer))).toBe(corpus.ids_sha256_u16le);
    expect(Buffer.compare(tokenizer.decodeBytes(ids), bytes)).toBe(0);
    if (!corpus.valid_utf8) return;
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    expect(
      Buffer.compare(new Uint8Array(tokenizer.encode(text).buffer), new Uint8Array(ids.buffer)),
    ).toBe(0);
    expect(tokenizer.count(text)).toBe(corpus.token_count);
    expect(tokenizer.decode(ids) === text).toBe(true);
  });

  it('encodes random text and bytes like the slow matcher', () => {
    const slow = new SlowMatcher(tokens);
    fc.assert(
      fc.property(arbitrary.text, arbitrary.bytes, (text, bytes) => {
        expect(
          firstDifference(tokenizer.encode(text), slow.encode(new TextEncoder().encode(text))),
        ).toBe(-1);
        const encoded = tokenizer.encodeBytes(bytes);
        expect(firstDifference(encoded, slow.encode(bytes))).toBe(-1);
        expect(tokenizer.decodeBytes(encoded)).toEqual(bytes);
      }),
      { numRuns: 300, endOnFailure: true },
    );
    fc.assert(
      fc.property(arbitrary.longText, (text) => {
        expect(
          firstDifference(tokenizer.encode(text), slow.encode(new TextEncoder().encode(text))),
        ).toBe(-1);
      }),
      { numRuns: 20, endOnFailure: true },
    );
  });
});
