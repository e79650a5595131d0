import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as arbitrary from '../test/arbitraries.js';
import { bpeTokenizer20b, byteLevelBpe } from './bpe-20b.js';

const require = createRequire(import.meta.url);
const json = readFileSync(require.resolve('rwkv-tokenizer-node/20B_tokenizer.json'), 'utf8');
const tokenizer = await bpeTokenizer20b(json);

/** Made with the Rust library (tokenizers 0.13, npm @anush008/tokenizers 0.6.0) from the same file. */
const expectedIds: [string, number[]][] = [
  ['Hello, world!', [12092, 13, 1533, 2]],
  ['', []],
  [
    'The quick brown fox jumps over the lazy dog.',
    [510, 3158, 8516, 30013, 27287, 689, 253, 22658, 4370, 15],
  ],
  [
    'def f(x):\n    return  x\n\n\n\t\tpass',
    [1545, 269, 9, 89, 2262, 187, 50274, 2309, 50276, 89, 535, 996, 186, 5858],
  ],
  ['                              x', [50254, 50272, 89]],
  ['\u4f60\u597d\uff0c\u4e16\u754c', [24553, 34439, 6238, 42848, 45261]],
  [
    '\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0401\u043b\u043a\u0430',
    [21715, 1697, 16423, 7508, 13, 8277, 20650, 2, 929, 212, 3415, 21475],
  ],
  [
    '\ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67\u200d\ud83d\udc66 \ud83d\ude42',
    [
      14931, 228, 103, 325, 224, 14931, 228, 104, 325, 224, 14931, 228, 102, 325, 224, 14931, 228,
      101, 42908,
    ],
  ],
  ['e\u0301 = \u00e9, \ufb01', [860, 426, 3974, 13, 16141, 107, 212]],
  ["I've we'll don't 12345 3.14", [42, 1849, 359, 1833, 1053, 626, 1249, 16767, 495, 15, 1047]],
  ['a\u00a0b\u3000c', [66, 575, 67, 19409, 68]],
  [
    '\u0928\u092e\u0938\u094d\u0924\u0947 \u0e44\u0e17\u0e22',
    [23068, 32191, 28733, 17665, 23936, 15472, 209, 40366, 37948, 34816],
  ],
  ['\u0000\u0001\ufeff', [177, 178, 41497]],
];

describe('the 20B tokenizer', () => {
  it.each(expectedIds)('encodes %j as the Rust library does', (text, ids) => {
    expect(Array.from(tokenizer.encode(text))).toEqual(ids);
  });

  it('has 50277 tokens, the end of text is token 0', () => {
    expect(tokenizer).toMatchObject({ name: '20b', vocabularySize: 50277, endOfText: 0 });
    expect(tokenizer.tokenBytes(0)).toHaveLength(0);
    expect(tokenizer.decode([0, 12092, 0])).toBe('Hello');
    expect(tokenizer.tokenOf(Buffer.from('Hello'))).toBe(12092);
    expect(tokenizer.tokenOf(Buffer.from('<|endoftext|>'))).toBeUndefined();
    expect(() => tokenizer.decode([50277])).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_TOKEN', expected: 50276, got: 50277 }),
    );
  });

  it('takes special tokens in a text for text', () => {
    for (const text of ['<|endoftext|>', 'a<|padding|>b']) {
      const ids = tokenizer.encode(text);
      expect(Math.min(...ids)).toBeGreaterThan(1);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  it('gives back the NFC form of any text, with U+FFFD for lone surrogates', () => {
    fc.assert(
      fc.property(arbitrary.text, (text) => {
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(arbitrary.wellFormed(text).normalize('NFC'));
        expect(tokenizer.count(text)).toBe(ids.length);
        expect(tokenizer.encodeBytes(new TextEncoder().encode(text))).toEqual(ids);
        const decoder = tokenizer.createDecoder();
        expect(Array.from(ids, (id) => decoder.push(id)).join('') + decoder.flush()).toBe(
          tokenizer.decode(ids),
        );
      }),
      { numRuns: 60 },
    );
    expect(tokenizer.decode(tokenizer.encode('a\ud83db'))).toBe('a\ufffdb');
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => tokenizer.encodeBytes(Uint8Array.of(0x61, 0xff))).toThrow(
      expect.objectContaining({ code: 'INPUT_NOT_UTF8', got: 2 }),
    );
  });

  it('says which file it needs', async () => {
    await expect(bpeTokenizer20b()).rejects.toThrow(/20B_tokenizer\.json.*loadTokenizer/s);
    await expect(bpeTokenizer20b()).rejects.toMatchObject({ code: 'VOCABULARY_MISSING' });
  });

  it('refuses another vocabulary, even a sound one', async () => {
    const other = small();
    await expect(byteLevelBpe('other', other)).resolves.toMatchObject({
      name: 'other',
      vocabularySize: 259,
    });
    await expect(bpeTokenizer20b(other)).rejects.toThrow(/50277 tokens for 20B, got 259/);
    await expect(bpeTokenizer20b('not json')).rejects.toMatchObject({ code: 'VOCABULARY_INVALID' });
  });
});

interface SmallJson {
  normalizer: unknown;
  pre_tokenizer: unknown;
  added_tokens: unknown;
  model: Record<string, unknown> & { vocab: Record<string, unknown>; merges: unknown };
}

/** The 256 bytes, two merges and an added token. */
function small(): SmallJson {
  const { vocab } = (JSON.parse(json) as SmallJson).model;
  const characters = Object.keys(vocab).filter((key) => key.length === 1);
  for (let code = 0xa1; code < 0x180; code++) {
    const character = String.fromCharCode(code);
    if (code !== 0xad && code < 0x144 && !characters.includes(character))
      characters.push(character);
  }
  const ids: Record<string, unknown> = Object.fromEntries(
    characters.slice(0, 256).map((character, id) => [character, id]),
  );
  ids['ab'] = 256;
  ids['abc'] = 257;
  return {
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
    added_tokens: [{ id: 258, content: '  ', special: false }],
    model: { type: 'BPE', vocab: ids, merges: ['a b', ['ab', 'c']] },
  };
}

describe('byteLevelBpe', () => {
  it('merges in order and splits added tokens off', async () => {
    const bpe = await byteLevelBpe('small', small());
    expect(Array.from(bpe.encode('abcab  '))).toEqual([257, 256, 258]);
    expect(bpe.endOfText).toBeUndefined();
  });

  const changes: [string, (value: SmallJson) => void, RegExp][] = [
    [
      'a pattern of its own',
      (value) => {
        value.pre_tokenizer = { type: 'Split', pattern: { Regex: '(a+)+$' } };
      },
      /pre_tokenizer/,
    ],
    [
      'a prefix space',
      (value) => {
        value.pre_tokenizer = { type: 'ByteLevel', add_prefix_space: true };
      },
      /pre_tokenizer/,
    ],
    [
      'no pre-tokenizer',
      (value) => {
        value.pre_tokenizer = null;
      },
      /pre_tokenizer.*an object/,
    ],
    [
      'a replacing normalizer',
      (value) => {
        value.normalizer = { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' };
      },
      /normalizer/,
    ],
    [
      'another model',
      (value) => {
        value.model['type'] = 'Unigram';
      },
      /type BPE/,
    ],
    [
      'an unknown token',
      (value) => {
        value.model['unk_token'] = '<unk>';
      },
      /unk_token/,
    ],
    [
      'byte fallback',
      (value) => {
        value.model['byte_fallback'] = true;
      },
      /byte_fallback/,
    ],
    [
      'merges that are no list',
      (value) => {
        value.model.merges = 5;
      },
      /merges.*an array/,
    ],
    [
      'a merge of three',
      (value) => {
        value.model.merges = ['a b c'];
      },
      /merges\[0\].*two tokens/,
    ],
    [
      'a merge without a token',
      (value) => {
        value.model.merges = ['b a'];
      },
      /merges\[0\].*"ba"/,
    ],
    [
      'a missing byte',
      (value) => {
        delete value.model.vocab['a'];
        value.model.merges = [];
      },
      /none for 0x61/,
    ],
    [
      'a character that is no byte',
      (value) => {
        value.model.vocab['你'] = 300;
      },
      /characters that stand for bytes/,
    ],
    [
      'an id twice',
      (value) => {
        value.model.vocab['abc'] = 5;
      },
      /id 5 a second time/,
    ],
    [
      'a huge id',
      (value) => {
        value.model.vocab['abc'] = 1e9;
      },
      /65535/,
    ],
    [
      'an id that is no number',
      (value) => {
        value.model.vocab['abc'] = '257';
      },
      /numbers, got string/,
    ],
    [
      'a long token',
      (value) => {
        value.model.vocab['a'.repeat(2000)] = 300;
      },
      /1024 characters, got 2000/,
    ],
    [
      'an added token with an id in use',
      (value) => {
        value.added_tokens = [{ id: 5, content: 'xyz' }];
      },
      /id 5 a second time/,
    ],
    [
      'an added token that strips',
      (value) => {
        value.added_tokens = [{ id: 258, content: 'xyz', lstrip: true }];
      },
      /lstrip/,
    ],
    [
      'an added token without content',
      (value) => {
        value.added_tokens = [{ id: 258, content: '' }];
      },
      /content/,
    ],
    [
      'added tokens that are no list',
      (value) => {
        value.added_tokens = {};
      },
      /added_tokens.*an array/,
    ],
  ];
  it.each(changes)('refuses %s', async (_, change, message) => {
    const value = small();
    change(value);
    await expect(byteLevelBpe('small', value)).rejects.toThrow(message);
    await expect(byteLevelBpe('small', value)).rejects.toMatchObject({
      code: 'VOCABULARY_INVALID',
    });
  });

  it.each([[null], [5], [[]], [{}], [{ model: null }]])('refuses %j', async (value) => {
    await expect(byteLevelBpe('small', value)).rejects.toMatchObject({
      code: 'VOCABULARY_INVALID',
    });
  });
});
