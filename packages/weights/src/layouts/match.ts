/** Holds a file's tensors against what a model of the configuration needs: nothing missing, nothing else, every shape right. */
import type { WeightSpec } from '@rwkv-ts/backend';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import { WeightsError } from '../errors.js';
import { pieceShape, pieceSources } from './canonical.js';
import type { Piece } from './types.js';
import { reshape, sameButOnes } from './view.js';

/** Errors list this many names; the rest is a number. */
const shown = 4;

export interface MatchInput {
  readonly config: RwkvConfig;
  readonly pieces: ReadonlyMap<string, Piece>;
  readonly unknown: readonly string[];
  /** For errors. */
  readonly file: string;
}

export interface MatchedWeight extends WeightSpec {
  readonly piece: Piece;
}

/**
 * @returns one entry per canonical weight, in canonical order, with views of exactly the canonical shape (parts apart)
 * @throws WeightsError `TENSOR_MISSING`, `TENSOR_UNEXPECTED`, `TENSOR_SHAPE`
 */
export function matchWeights({
  config,
  pieces,
  unknown,
  file,
}: MatchInput): readonly MatchedWeight[] {
  const specs = canonicalWeights(config);
  const known = new Set(specs.map(({ name }) => name));
  const extra = [
    ...unknown,
    ...[...pieces].filter(([name]) => !known.has(name)).flatMap(([, piece]) => pieceSources(piece)),
  ];
  const missing = specs.filter(({ name }) => !pieces.has(name)).map(({ name }) => name);
  if (missing.length > 0) failMissing({ config, file, missing, extra });
  if (extra.length > 0) {
    throw new WeightsError({
      code: 'TENSOR_UNEXPECTED',
      message: `${file}: an RWKV-${config.version} model of ${config.layers} layers has no ${list(extra)}${closest(extra[0]!, [...known])}.`,
      expected: `the ${specs.length} weights of RWKV-${config.version}`,
      got: extra,
    });
  }
  return specs.map((spec) => ({ ...spec, piece: fit(spec, pieces.get(spec.name)!, file) }));
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
