import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { madeUpTokens, vocabularyText } from '../test/vocabulary.js';
import { loadTokenizer } from './load.js';
import { worldTokenizerFromText, worldTokenizerToBinary } from './world.js';

const text = vocabularyText(madeUpTokens());
const world = worldTokenizerFromText(text);

describe('loadTokenizer', () => {
  it('tells the formats apart', async () => {
    const twentyB = createRequire(import.meta.url).resolve(
      'rwkv-tokenizer-node/20B_tokenizer.json',
    );
    expect((await loadTokenizer(readFileSync(twentyB))).name).toBe('20b');
    const files = [Buffer.from(text), Buffer.from(`\ufeff${text}`), worldTokenizerToBinary(world)];
    for (const file of files) {
      const loaded = await loadTokenizer(file);
      expect(loaded.name).toBe('world');
      expect(loaded.encode('the abc')).toEqual(world.encode('the abc'));
    }
  });

  it.each(['', 'hello', '<html>', '[1, 2]', '\u0000\u0001', '1', 'GGUF'])(
    'refuses %j',
    async (content) => {
      await expect(loadTokenizer(Buffer.from(content))).rejects.toMatchObject({
        code: 'FORMAT_UNKNOWN',
      });
    },
  );

  it('refuses bytes that are no text, a broken text and broken JSON with typed errors', async () => {
    await expect(loadTokenizer(Uint8Array.of(0x31, 0x20, 0xff))).rejects.toMatchObject({
      code: 'FORMAT_UNKNOWN',
    });
    await expect(loadTokenizer(Buffer.from("1 'a"))).rejects.toMatchObject({
      code: 'VOCABULARY_INVALID',
    });
    await expect(loadTokenizer(Buffer.from('{"model":'))).rejects.toMatchObject({
      code: 'VOCABULARY_INVALID',
    });
    await expect(loadTokenizer(Buffer.from('{"a":'.repeat(200000)))).rejects.toMatchObject({
      code: 'VOCABULARY_INVALID',
    });
    await expect(loadTokenizer(Buffer.from('RWKVTOK'))).rejects.toMatchObject({
      code: 'VOCABULARY_CORRUPT',
    });
  });

  it('refuses the wrong type as a programming mistake', async () => {
    await expect(loadTokenizer('text' as unknown as Uint8Array)).rejects.toThrow(TypeError);
  });
});
