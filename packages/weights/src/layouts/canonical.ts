/** Official names to the canonical ones of `canonicalWeights`: every matrix `[out, in]` and called `….weight`, one name per thing. */
import { WeightsError } from '../errors.js';
import type { LayoutReading, Piece } from './types.js';
import { pick, transpose } from './view.js';

export interface CanonicalReading {
  /** By canonical name; shapes may still have dimensions of 1 that the canonical shape lacks. */
  readonly pieces: ReadonlyMap<string, Piece>;
  /** `blocks.i.att.time_state`, by layer. */
  readonly states: ReadonlyMap<number, Piece>;
  /** Whether v5's bonus came as time_first, which is stored before exp. */
  readonly bonusIsExponent: boolean;
  readonly notes: readonly string[];
}

/** Low-rank factors, which have no `.weight` in official files and are used as x · W there. */
const factor = /\.(?:att\.(?:[wavg][12]|time_maa_w1|time_decay_w[12])|ffn\.s[12])$/;
const mixes6 = ['w', 'k', 'v', 'r', 'g'] as const;
const firstValueDummy = /^blocks\.0\.att\.v[012]$/;

function canonicalPieces(entry: Piece, pairs: LayoutReading['pairs']): readonly Piece[] {
  const turned = (piece: Piece): Piece =>
    pairs === 'in-out' ? { ...piece, parts: piece.parts.map(transpose) } : piece;
  if (factor.test(entry.name)) return [turned({ ...entry, name: `${entry.name}.weight` })];
  if (entry.name.endsWith('.att.time_maa_w2')) {
    const view = entry.parts[0]!;
    if (view.shape.length !== 3 || view.shape[0] !== mixes6.length) {
      throw new WeightsError({
        code: 'TENSOR_SHAPE',
        message: `${view.tensor.name} must be [5, …, …], got [${view.shape.join(', ')}].`,
        expected: [mixes6.length, 'D', 'C'],
        got: view.shape,
      });
    }
    return mixes6.map((mix, index) =>
      turned({ name: `${entry.name}.${mix}.weight`, parts: [pick(view, index)] }),
    );
  }
  return [entry];
}

/** @throws WeightsError `TENSOR_DUPLICATE`, `TENSOR_SHAPE` */
export function canonicalise(reading: LayoutReading): CanonicalReading {
  const pieces = new Map<string, Piece>();
  const states = new Map<number, Piece>();
  const hasHeads = reading.entries.some(({ name }) => name.endsWith('.att.ln_x.weight'));
  const isV7 = reading.entries.some(({ name }) => name.endsWith('.att.r_k'));
  let bonusIsExponent = false;
  let dummies = 0;
  for (const entry of reading.entries) {
    const state = /^blocks\.(\d{1,4})\.att\.time_state$/.exec(entry.name);
    if (state) {
      const layer = Number(state[1]);
      const previous = states.get(layer);
      if (previous) refuseDuplicate(previous, { ...entry, name: previous.name });
      states.set(layer, entry);
      continue;
    }
    if (isV7 && firstValueDummy.test(entry.name)) {
      dummies++;
      continue;
    }
    let named = entry;
    if (hasHeads && entry.name.endsWith('.att.time_first')) {
      bonusIsExponent = true;
      named = { ...entry, name: entry.name.replace('time_first', 'time_faaaa') };
    }
    for (const piece of canonicalPieces(named, reading.pairs)) {
      const previous = pieces.get(piece.name);
      if (previous) refuseDuplicate(previous, piece);
      pieces.set(piece.name, piece);
    }
  }
  const notes = [...reading.notes];
  if (dummies > 0) notes.push(`${dummies} unused tensors of layer 0 (v0, v1, v2) were ignored.`);
  return { pieces, states, bonusIsExponent, notes };
}

/** @throws WeightsError `TENSOR_DUPLICATE`, with the names in the file and the one name that both mean */
export function refuseDuplicate(left: Piece, right: Piece): never {
  const [a, b] = [left.parts[0]!.tensor.name, right.parts[0]!.tensor.name];
  throw new WeightsError({
    code: 'TENSOR_DUPLICATE',
    message: `${a} and ${b} are both ${right.name}; one of them must go.`,
    expected: 1,
    got: 2,
  });
}

/** Shape of the whole piece: parts are joined along the first dimension. */
export function pieceShape(piece: Piece): readonly number[] {
  const first = piece.parts[0]!.shape;
  if (piece.parts.length === 1) return first;
  const rows = piece.parts.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  return [rows, ...first.slice(1)];
}

/** The file's own names of what a piece is made from. */
export function pieceSources(piece: Piece): readonly string[] {
  return [...new Set(piece.parts.map(({ tensor }) => tensor.name))];
}
