/**
 * A model that answers what a test wants, whatever it is asked: its layers add nothing, and its head knows for each
 * token which one comes next. Everything else is as with any model, so its answers come through the whole page.
 */
import type { HostWeight } from '@rwkv-ts/backend';
import { memorySink, writeSafetensors } from '@rwkv-ts/weights';
import {
  randomModel,
  randomNumbers,
  tinyConfig,
} from '../../../packages/weights/test/random-model.js';

export interface Script {
  readonly answer: string;
  /** Written first when the page asks for thinking. */
  readonly thoughts?: string;
}

export interface ScriptedModel {
  /** A safetensors file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** A World vocabulary, as text. */
  readonly vocabulary: string;
}

const channels = 128;
/** Tokens of single bytes are 1 to 256; 0 ends the text. */
const byteTokens = 257;

export async function scriptedModel({ answer, thoughts = '' }: Script): Promise<ScriptedModel> {
  const seen = new Set<string>();
  const answered = piecesOf(` ${answer}`, seen);
  const thought = thoughts === '' ? [] : piecesOf(`>\n${thoughts}\n</think>\n`, seen);
  const pieces = [...answered, ...thought];
  const vocabularySize = Math.ceil((byteTokens + pieces.length) / 128) * 128;
  const first = byteTokens;
  const follows: [token: number, next: number][] = [
    // What prompts end in: "Assistant:", and "Assistant: <think".
    [byteToken(':'), first],
    ...answered.map((_, i): [number, number] => [
      first + i,
      i + 1 < answered.length ? first + i + 1 : 0,
    ]),
  ];
  if (thought.length > 0) {
    const begin = first + answered.length;
    follows.push([byteToken('k'), begin]);
    for (const [i] of thought.entries()) {
      follows.push([begin + i, i + 1 < thought.length ? begin + i + 1 : first]);
    }
  }
  const lines = [
    ...Array.from({ length: 256 }, (_, byte) => `${byte + 1} ${byteLiteral(byte)} 1`),
    ...pieces.map(
      (piece, i) => `${byteTokens + i} ${JSON.stringify(piece)} ${Buffer.byteLength(piece)}`,
    ),
  ];
  return { bytes: await modelFile(vocabularySize, follows), vocabulary: `${lines.join('\n')}\n` };
}

const byteToken = (character: string): number => character.charCodeAt(0) + 1;

function byteLiteral(byte: number): string {
  const hex = byte.toString(16).padStart(2, '0');
  return byte < 128 ? `'\\x${hex}'` : `b'\\x${hex}'`;
}

/** Words, joined where one comes again: a token has one successor only. */
function piecesOf(text: string, seen: Set<string>): string[] {
  const pieces: string[] = [];
  let piece = '';
  for (const word of text.match(/\s*\S+|\s+$/g) ?? []) {
    piece += word;
    if (piece.length < 2 || seen.has(piece)) continue;
    seen.add(piece);
    pieces.push(piece);
    piece = '';
  }
  if (piece !== '') pieces.push(`${pieces.pop() ?? ''}${piece}`);
  return pieces;
}

async function modelFile(
  vocabularySize: number,
  follows: readonly (readonly [number, number])[],
): Promise<Uint8Array<ArrayBuffer>> {
  const config = tinyConfig('7', {
    layers: 2,
    channels,
    heads: 2,
    headSize: 64,
    channelMixSize: 256,
    vocabularySize,
  });
  const { weights } = randomModel(config);
  const random = randomNumbers(7);
  const embedding = new Float32Array(vocabularySize * channels);
  for (let token = 0; token < vocabularySize; token++) {
    embedding.set(signs(random), token * channels);
  }
  const head = new Float32Array(vocabularySize * channels);
  for (const [token, next] of follows) {
    for (let i = 0; i < channels; i++) {
      head[next * channels + i]! += embedding[token * channels + i]! / 4;
    }
  }
  const own = new Map([
    ['emb.weight', embedding],
    ['head.weight', head],
  ]);
  const numbersOf = (name: string, values: Float32Array): Float32Array => {
    const given = own.get(name);
    if (given !== undefined) return given;
    if (/\b(ln\d|ln_out)\.weight$/.test(name)) return values.map(() => 1);
    if (/\b(ln\d|ln_out)\.bias$/.test(name)) return values.map(() => 0);
    if (/(att\.output|ffn\.value)\.weight$/.test(name)) return values.map(() => 0);
    return values.map((value) => value / 8);
  };
  const tensors = [...weights].map(([name, { shape, values }]): HostWeight => {
    return { name, shape, format: 'f32', bytes: new Uint8Array(numbersOf(name, values).buffer) };
  });
  const sink = memorySink();
  await writeSafetensors(
    {
      config,
      tensors,
      async *weights() {
        yield* tensors;
      },
    },
    sink,
    { layout: 'official', format: 'f16' },
  );
  return sink.bytes();
}

/** Numbers of mean 0 and variance 1, which a norm leaves as they are; two such rows have little in common. */
function signs(random: () => number): Float32Array {
  const row = Float32Array.from({ length: channels }, (_, i) => (i % 2 === 0 ? 1 : -1));
  for (let i = channels - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    [row[i], row[other]] = [row[other]!, row[i]!];
  }
  return row;
}
