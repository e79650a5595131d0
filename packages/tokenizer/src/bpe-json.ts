import { invalidVocabulary } from './errors.js';
import { MAX_TOKEN_BYTES, TokenTableBuilder, type TokenTable } from './token-table.js';
import { encodeInto } from './utf8.js';

/**
 * Reads a tokenizer.json whose model is a byte-level BPE, and writes a definition for the library that holds only what
 * was understood: a file can come from anyone, and the format may hold regular expressions that never end.
 */
export interface ByteLevelBpe {
  /** For the constructor of `@huggingface/tokenizers`. */
  readonly definition: object;
  readonly table: TokenTable;
  /** Ids by the token's bytes, each as one code unit. */
  readonly ids: ReadonlyMap<string, number>;
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
}

const endOfTextContent = '<|endoftext|>';

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalidVocabulary(where, 'an object', value === null ? 'null' : typeof value);
  return value as Fields;
}

/**
 * How byte-level BPE writes bytes as characters (GPT-2, encoder.py): printable Latin-1 stands for itself, the other 68
 * bytes for U+0100 onward in order.
 */
const byteOfCharacter = (() => {
  const map = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    map.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return map;
})();

/** Refuses every setting that would change the result and that this reader does not carry over. */
function checkSettings(json: Fields): boolean {
  const preTokenizer = fieldsOf(json['pre_tokenizer'], 'pre_tokenizer');
  if (
    preTokenizer['type'] !== 'ByteLevel' ||
    preTokenizer['add_prefix_space'] === true ||
    preTokenizer['use_regex'] === false
  )
    throw invalidVocabulary(
      'pre_tokenizer',
      'ByteLevel without a prefix space, with its own pattern',
      JSON.stringify(preTokenizer).slice(0, 80),
    );
  const normalizer = json['normalizer'] ?? null;
  if (normalizer === null) return false;
  if (fieldsOf(normalizer, 'normalizer')['type'] !== 'NFC')
    throw invalidVocabulary('normalizer', 'NFC or none', JSON.stringify(normalizer).slice(0, 80));
  return true;
}

function checkModel(model: Fields): void {
  if (model['type'] !== 'BPE') throw invalidVocabulary('model', 'type BPE', String(model['type']));
  for (const setting of [
    'dropout',
    'unk_token',
    'continuing_subword_prefix',
    'end_of_word_suffix',
  ]) {
    const value = model[setting] ?? null;
    if (value !== null && value !== '')
      throw invalidVocabulary(`model.${setting}`, 'nothing', JSON.stringify(value).slice(0, 80));
  }
  for (const setting of ['byte_fallback', 'ignore_merges'])
    if (model[setting] === true) throw invalidVocabulary(`model.${setting}`, 'false', 'true');
}

function readAddedTokens(value: unknown): AddedToken[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalidVocabulary('added_tokens', 'an array', typeof value);
  return value.map((entry: unknown, index) => {
    const where = `added_tokens[${index}]`;
    const fields = fieldsOf(entry, where);
    const { id, content } = fields;
    if (typeof id !== 'number') throw invalidVocabulary(where, 'an id', typeof id);
    if (typeof content !== 'string' || content === '')
      throw invalidVocabulary(where, 'a content', typeof content);
    for (const setting of ['single_word', 'lstrip', 'rstrip'])
      if (fields[setting] === true) throw invalidVocabulary(where, `${setting} false`, 'true');
    return {
      id,
      content,
      special: fields['special'] === true,
      normalized: fields['normalized'] === true,
    };
  });
}

/** The merges as pairs; both parts and the result must be tokens, or the library would give no id for them. */
function readMerges(value: unknown, vocabulary: ReadonlyMap<string, number>): [string, string][] {
  if (!Array.isArray(value)) throw invalidVocabulary('model.merges', 'an array', typeof value);
  return value.map((merge: unknown, index) => {
    const parts: unknown[] =
      typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== 'string' || typeof right !== 'string')
      throw invalidVocabulary(
        `model.merges[${index}]`,
        'two tokens',
        JSON.stringify(merge).slice(0, 80),
      );
    for (const token of [left, right, left + right])
      if (!vocabulary.has(token))
        throw invalidVocabulary(
          `model.merges[${index}]`,
          'tokens of the vocabulary',
          JSON.stringify(token).slice(0, 80),
        );
    return [left, right];
  });
}

/** Every byte that UTF-8 can contain must be a token; 20B has none for C0, C1 and F5 to FF, which it cannot. */
function checkSingleBytes(vocabulary: ReadonlyMap<string, number>): void {
  for (const [character, byte] of byteOfCharacter)
    if (!vocabulary.has(character) && byte !== 0xc0 && byte !== 0xc1 && byte < 0xf5)
      throw invalidVocabulary(
        'model.vocab',
        'each byte of UTF-8 as a token',
        `none for 0x${byte.toString(16)}`,
      );
}

/** Collects ids and bytes of both kinds of tokens. */
class Collector {
  readonly #builder = new TokenTableBuilder();
  readonly ids = new Map<string, number>();
  readonly #bytes = new Uint8Array(3 * MAX_TOKEN_BYTES);

  addCharacters(characters: string, id: number): void {
    const where = `token ${id}`;
    this.#checkLength(characters, where);
    for (let index = 0; index < characters.length; index++) {
      const byte = byteOfCharacter.get(characters[index]!);
      if (byte === undefined)
        throw invalidVocabulary(
          where,
          'characters that stand for bytes',
          JSON.stringify(characters.slice(0, 40)),
        );
      this.#bytes[index] = byte;
    }
    this.#add(id, characters.length, where);
  }

  addText(text: string, id: number): void {
    this.#checkLength(text, `token ${id}`);
    this.#add(id, encodeInto(text, this.#bytes), `token ${id}`);
  }

  #checkLength(text: string, where: string): void {
    if (text.length > MAX_TOKEN_BYTES)
      throw invalidVocabulary(where, `at most ${MAX_TOKEN_BYTES} characters`, text.length);
  }

  #add(id: number, length: number, where: string): void {
    this.#builder.add(id, this.#bytes, length, where);
    const key = String.fromCharCode(...this.#bytes.subarray(0, length));
    // An added token may have the bytes of an ordinary one; encoding prefers the added one, and it comes second.
    this.ids.set(key, id);
  }

  build(endOfText: number | undefined): TokenTable {
    return this.#builder.build(endOfText);
  }
}

/** Throws `VOCABULARY_INVALID` naming the field. */
export function readByteLevelBpe(value: unknown): ByteLevelBpe {
  const json = fieldsOf(value, 'tokenizer.json');
  const normalized = checkSettings(json);
  const model = fieldsOf(json['model'], 'model');
  checkModel(model);
  const added = readAddedTokens(json['added_tokens']);
  const endOfText = added.find((token) => token.special && token.content === endOfTextContent)?.id;
  const addedContents = new Map(added.map((token) => [token.content, token.id]));
  const collector = new Collector();
  const vocabulary = new Map<string, number>();
  for (const [characters, id] of Object.entries(fieldsOf(model['vocab'], 'model.vocab'))) {
    if (typeof id !== 'number') throw invalidVocabulary('model.vocab', 'numbers', typeof id);
    vocabulary.set(characters, id);
    // Special tokens are listed in both places.
    if (addedContents.get(characters) !== id) collector.addCharacters(characters, id);
  }
  checkSingleBytes(vocabulary);
  // The end of text has no bytes.
  for (const token of added) if (token.id !== endOfText) collector.addText(token.content, token.id);
  const merges = readMerges(model['merges'], vocabulary);
  return {
    definition: libraryDefinition({ normalized, vocabulary, merges, added }),
    table: collector.build(endOfText),
    ids: collector.ids,
  };
}

interface Parts {
  readonly normalized: boolean;
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly merges: [string, string][];
  readonly added: readonly AddedToken[];
}

/** Special tokens are left out, so that no text is ever taken for one. */
function libraryDefinition({ normalized, vocabulary, merges, added }: Parts): object {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  return {
    version: '1.0',
    added_tokens: added.filter((token) => !token.special),
    normalizer: normalized ? { type: 'NFC' } : null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: Object.fromEntries(vocabulary), merges, ignore_merges: false },
  };
}
