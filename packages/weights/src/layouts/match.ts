/** Holds a file's tensors against what a model of the configuration needs: nothing missing, nothing else, every shape right. */
import type { WeightSpec } from '@rwkv-ts/backend';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import type { FormatName } from '@rwkv-ts/formats';
import { WeightsError } from '../errors.js';
import type { RawFile, RawTensor } from '../raw-file.js';
import { pieceShape, pieceSources } from './canonical.js';
import type { Piece } from './types.js';
import { reshape, sameButOnes } from './view.js';

/** Errors list this many names; the rest is a number. */
const shown = 4;

export interface MatchInput {
  readonly config: RwkvConfig;
  readonly pieces: ReadonlyMap<string, Piece>;
  /** Names in the file that the layout does not know. */
  readonly unknown: readonly string[];
  readonly file: RawFile;
}

export interface Matched {
  /** One entry per canonical weight, in canonical order, with views of exactly the canonical shape (parts apart). */
  readonly weights: readonly MatchedWeight[];
  readonly notes: readonly string[];
}

export interface MatchedWeight extends WeightSpec {
  readonly piece: Piece;
}

/** Counters, positions and masks, which no model computes with, are integers; weights never are. */
const integers: ReadonlySet<FormatName> = new Set(['bool', 'u8', 'i8', 'i16', 'i32', 'i64']);

/**
 * @throws WeightsError `TENSOR_MISSING`, `TENSOR_UNEXPECTED`, `TENSOR_SHAPE`; `LAYOUT_REFUSED` for weights stored as
 * integers, whose scales no layout read here has
 */
export function matchWeights({ config, pieces, unknown, file }: MatchInput): Matched {
  const specs = canonicalWeights(config);
  const known = new Set(specs.map(({ name }) => name));
  const surplus = [
    ...unknown,
    ...[...pieces].filter(([name]) => !known.has(name)).flatMap(([, piece]) => pieceSources(piece)),
  ];
  const isInteger = (name: string): boolean => integers.has(file.tensors.get(name)!.format);
  const ignored = surplus.filter(isInteger);
  const extra = surplus.filter((name) => !isInteger(name));
  const missing = specs.filter(({ name }) => !pieces.has(name)).map(({ name }) => name);
  if (missing.length > 0) failMissing({ config, file: file.name, missing, extra });
  if (extra.length > 0) {
    throw new WeightsError({
      code: 'TENSOR_UNEXPECTED',
      message: `${file.name}: an RWKV-${config.version} model of ${config.layers} layers has no ${list(extra)}${closest(extra[0]!, [...known])}.`,
      expected: `the ${specs.length} weights of RWKV-${config.version}`,
      got: extra,
    });
  }
  const weights = specs.map((spec) => {
    const piece = fit(spec, pieces.get(spec.name)!, file.name);
    for (const { tensor } of piece.parts)
      if (integers.has(tensor.format)) refuseIntegers(tensor, file.name);
    return { ...spec, piece };
  });
  const notes = ignored.length > 0 ? [`Tensors of integers were ignored: ${list(ignored)}.`] : [];
  return { weights, notes };
}

/** Integers without their scales are other numbers: loading them would be silently wrong. */
function refuseIntegers({ name, format }: RawTensor, file: string): never {
  throw new WeightsError({
    code: 'LAYOUT_REFUSED',
    message: `${file} holds ${name} as ${format} integers: a checkpoint quantised by another program. Use the original one, or a GGUF file.`,
    expected: 'floating-point or GGML-quantised weights',
    got: format,
  });
}

function failMissing({
  config,
  file,
  missing,
  extra,
}: {
  config: RwkvConfig;
  file: string;
  missing: readonly string[];
  extra: readonly string[];
}): never {
  const folded = missing.every((name) => name.startsWith('blocks.0.ln0.'));
  const advice = folded
    ? "; if this file's embedding has already gone through ln0, override embeddingNorm with 'folded'"
    : closest(missing[0]!, extra);
  throw new WeightsError({
    code: 'TENSOR_MISSING',
    message: `${file}: RWKV-${config.version} with ${config.layers} layers also needs ${list(missing)}${advice}.`,
    expected: missing,
    got: extra,
  });
}

function list(names: readonly string[]): string {
  const rest = names.length - shown;
  return names.slice(0, shown).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

function fit(spec: WeightSpec, piece: Piece, file: string): Piece {
  const shape = pieceShape(piece);
  const rowWidths = new Set(piece.parts.map((part) => part.shape.slice(1).join()));
  if (!sameButOnes(shape, spec.shape) || rowWidths.size > 1) {
    throw new WeightsError({
      code: 'TENSOR_SHAPE',
      message: `${file}: ${pieceSources(piece).join(' + ')} gives ${spec.name} the shape [${shape.join(', ')}], expected [${spec.shape.join(', ')}].`,
      expected: spec.shape,
      got: shape,
    });
  }
  const [only] = piece.parts;
  if (piece.parts.length > 1 || only === undefined) return piece;
  // Contiguous views lose their dimensions of 1 here; strided ones are matrices and have none that matter.
  return { ...piece, parts: [reshape(only, spec.shape) ?? only] };
}

/** A hint where a name is one or two letters off. */
function closest(name: string, candidates: readonly string[]): string {
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const candidate of candidates.slice(0, 2000)) {
    const distance = editDistance(name, candidate, 3);
    if (distance < (best?.distance ?? 3)) best = { name: candidate, distance };
  }
  return best ? ` (did you mean ${best.name}?)` : '';
}

/** Levenshtein distance, given up at `limit`. Names beyond 200 letters are nobody's typing error. */
function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) >= limit || left.length > 200) return limit;
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const change = previous[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j]! + 1, row[j - 1]! + 1));
    }
    if (Math.min(...row) >= limit) return limit;
    previous = row;
  }
  return previous[right.length]!;
}
