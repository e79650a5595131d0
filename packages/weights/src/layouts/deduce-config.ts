/** Version and sizes from the names and shapes of the tensors; never from a formula, never from a config.json. */
import { type RwkvConfig, type RwkvVersion, validateConfig } from '@rwkv-ts/model';
import { WeightsError } from '../errors.js';
import { type CanonicalReading, pieceShape, pieceSources } from './canonical.js';
import type { LayoutFacts } from './types.js';

/** Of the per-head norm in all published models. */
const officialHeadNormEpsilon = 64e-5;
const officialNormEpsilon = 1e-5;

/** Reads sizes off pieces, with errors that name them. */
class Shapes {
  readonly #pieces: CanonicalReading['pieces'];
  readonly #file: string;

  constructor(pieces: CanonicalReading['pieces'], file: string) {
    this.#pieces = pieces;
    this.#file = file;
  }

  has(name: string): boolean {
    return this.#pieces.has(name);
  }

  /** Dimensions of 1 at the start are packaging, as long as `rank` remain. */
  of(name: string, rank: number): readonly number[] {
    const piece = this.#pieces.get(name);
    if (!piece) {
      throw new WeightsError({
        code: 'TENSOR_MISSING',
        message: `${this.#file}: the model's ${name} is missing, so its sizes cannot be told.`,
        expected: name,
      });
    }
    let shape = [...pieceShape(piece)];
    while (shape.length > rank && shape[0] === 1) shape = shape.slice(1);
    if (shape.length !== rank) {
      throw new WeightsError({
        code: 'TENSOR_SHAPE',
        message: `${this.#file}: ${pieceSources(piece).join(' + ')} must have ${rank} dimensions, got [${shape.join(', ')}].`,
        expected: rank,
        got: shape,
      });
    }
    return shape;
  }

  /** A vector [H], or a matrix [H, N], as it stands. */
  perHead(name: string): readonly number[] {
    const piece = this.#pieces.get(name);
    const shape = piece ? pieceShape(piece) : [];
    return shape.length === 3 ? this.of(name, 2) : shape.length === 2 ? shape : this.of(name, 1);
  }
}

/** The detection order of formats.md 4.1. */
function detectVersion(shapes: Shapes): RwkvVersion {
  const att = 'blocks.0.att';
  if (shapes.has(`${att}.r_k`) || shapes.has(`${att}.k_k`)) {
    return shapes.has('blocks.0.ffn.s_emb.weight') ? '7a' : '7';
  }
  if (shapes.has(`${att}.time_maa_x`) || shapes.has(`${att}.time_maa_k`)) return '6';
  if (!shapes.has(`${att}.ln_x.weight`)) return '4';
  if (!shapes.has(`${att}.gate.weight`)) return '5.0';
  const decay = shapes.perHead(`${att}.time_decay`);
  return (decay[1] ?? 1) > 1 ? '5.2' : '5.1';
}

function countLayers(reading: CanonicalReading, file: string, promised?: number): number {
  const layers = new Set<number>();
  for (const name of reading.pieces.keys()) {
    const match = /^blocks\.(\d{1,4})\./.exec(name);
    if (match) layers.add(Number(match[1]));
  }
  const count = Math.max(promised ?? 0, ...[...layers].map((layer) => layer + 1));
  // A header may promise billions: the first gap comes after as many steps as there are layers.
  let missing = 0;
  while (layers.has(missing)) missing++;
  if (missing < count || count === 0) {
    throw new WeightsError({
      code: 'TENSOR_MISSING',
      message: `${file}: expected layers 0 to ${Math.max(count - 1, 0)}, but nothing of layer ${missing} is there; is this one shard of several, or a truncated file?`,
      expected: count,
      got: layers.size,
    });
  }
  return count;
}

export interface DeduceInput {
  readonly reading: CanonicalReading;
  readonly facts: LayoutFacts;
  /** For errors. */
  readonly file: string;
}

/** @throws WeightsError `TENSOR_MISSING`, `TENSOR_SHAPE`; ModelError `CONFIG_INVALID` */
export function deduceConfig({ reading, facts, file }: DeduceInput): RwkvConfig {
  const shapes = new Shapes(reading.pieces, file);
  const [vocabularySize, channels] = shapes.of('emb.weight', 2) as [number, number];
  const layers = countLayers(reading, file, facts.layers);
  const version = detectVersion(shapes);
  const common = {
    layers,
    channels,
    channelMixSize: shapes.of('blocks.0.ffn.key.weight', 2)[0]!,
    vocabularySize,
    normEpsilon: facts.normEpsilon ?? officialNormEpsilon,
    embeddingNorm: facts.embeddingNorm ?? 'separate',
  };
  const config =
    version === '4'
      ? { ...common, version, decayForm: facts.decayForm ?? 'official' }
      : withHeads({ version, common, shapes, facts, bonusIsExponent: reading.bonusIsExponent });
  validateConfig(config);
  return config;
}

interface HeadsInput {
  readonly version: Exclude<RwkvVersion, '4'>;
  readonly common: Omit<Extract<RwkvConfig, { version: '4' }>, 'version' | 'decayForm'>;
  readonly shapes: Shapes;
  readonly facts: LayoutFacts;
  readonly bonusIsExponent: boolean;
}

function withHeads({ version, common, shapes, facts, bonusIsExponent }: HeadsInput): RwkvConfig {
  const att = 'blocks.0.att';
  const { channels, normEpsilon, layers } = common;
  const source =
    version === '7' || version === '7a' ? 'r_k' : version === '6' ? 'time_faaaa' : 'time_decay';
  const heads = version.startsWith('5')
    ? shapes.perHead(`${att}.${source}`)[0]!
    : shapes.of(`${att}.${source}`, 2)[0]!;
  const headSize = channels / heads;
  if (!Number.isInteger(headSize)) {
    throw new WeightsError({
      code: 'TENSOR_SHAPE',
      message: `${att}.${source} has ${heads} heads, which do not divide the ${channels} channels.`,
      expected: `a divisor of ${channels}`,
      got: heads,
    });
  }
  // Ten digits are far beyond what any file states, and drop the last-bit noise of the product.
  const perHeadSize = Number((headSize * normEpsilon).toPrecision(10));
  const headNormEpsilon =
    facts.headNormEpsilon ??
    (facts.headNormEpsilonPerHeadSize ? perHeadSize : officialHeadNormEpsilon);
  const withHeadSizes = { ...common, heads, headSize, headNormEpsilon };
  switch (version) {
    case '5.0':
    case '5.1':
    case '5.2':
      return {
        ...withHeadSizes,
        version,
        decayForm: facts.decayForm ?? 'official',
        bonusForm: facts.bonusForm ?? (bonusIsExponent ? 'exp' : 'plain'),
      };
    case '6': {
      const mix = shapes.of(`${att}.time_maa_w2.w.weight`, 2)[1]!;
      const decay = shapes.of(`${att}.time_decay_w1.weight`, 2)[0]!;
      return { ...withHeadSizes, version, ranks: { mix, decay } };
    }
    case '7':
    case '7a': {
      const rank = (layer: number, name: string): number =>
        shapes.of(`blocks.${layer}.att.${name}1.weight`, 2)[0]!;
      return {
        ...withHeadSizes,
        version,
        ranks: {
          decay: rank(0, 'w'),
          rate: rank(0, 'a'),
          valueResidual: layers > 1 ? rank(1, 'v') : 0,
          gate: rank(0, 'g'),
        },
        ...(version === '7a' ? { deepEmbedSize: shapes.of('blocks.0.ffn.s1.weight', 2)[0]! } : {}),
      };
    }
  }
}
