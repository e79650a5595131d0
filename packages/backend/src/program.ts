/**
 * The program: one forward step of a model as straight-line data. `model` emits it once, a backend compiles it once
 * and runs it many times. It is plain JSON: serialisable, printable, diffable.
 *
 * Letters in every shape: T tokens of the step, S sequences, R wanted rows, C channels, H heads, N head size (C = H N),
 * F channel-mix width, V vocabulary, D rank of a low-rank pair, L layers. Rows are contiguous.
 *
 * Formulas are exact; how a backend rounds is its own affair within the bounds of the conformance suite: sums,
 * exponentials and state are at least f32, values between ops are of `supports.activations`.
 */
import type { WeightSpec } from './weights.js';

/** An activation: [T, width] or [R, width]. Assigned by exactly one op, before any use, so planners need no alias analysis. */
export interface Value {
  readonly id: number;
  /** `T`: a row per token of the step. `R`: a row per wanted token. */
  readonly rows: 'T' | 'R';
  readonly width: number;
}

/**
 * Recurrent state carried from step to step: one f32 block of `shape` per slot. `initial` is what `reset` writes: one
 * number for all, or one per leading row (RWKV-4's running maximum starts at -1e30, its sums at 0).
 */
export interface StateSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initial: number | readonly number[];
}

/**
 * Element-wise functions.
 * `relu2` max(x, 0)²; `exp-negative-exp` exp(-exp(x)), the decay of v5 and v6; `decay7` exp(-exp(-1/2) sigmoid(x)).
 */
export type Activation =
  'tanh' | 'sigmoid' | 'silu' | 'relu2' | 'exp' | 'negative-exp' | 'exp-negative-exp' | 'decay7';

/**
 * A vector weight used by an element-wise or recurrent op. `form` is applied to the stored numbers, once, at compile:
 * files differ in whether they store a decay or the number it is the function of.
 */
export interface Parameter {
  readonly weight: string;
  readonly form?: Activation;
}

/** A value of the same shape, or a parameter [width] that every row shares. */
export type Operand = Value | Parameter;

/** Weight and bias [C] of a norm. `groups` 1 is LayerNorm; H is one group per head. Biased variance. */
export interface NormParameters {
  readonly weight: string;
  readonly bias: string;
  readonly groups: number;
  readonly eps: number;
}

// ---- Primitives: these alone express every version -------------------------------------------------------------

/** out[t] = table[token[t]], or the row's embedding vector where the batch gives one. table [V, width]. */
export interface EmbedOp {
  readonly kind: 'embed';
  readonly out: Value;
  readonly table: string;
  /** `input`: the model's own input, which `Batch.embeddings` replaces. `token`: a side table, always by token id. */
  readonly by: 'input' | 'token';
}
/** out[r] = x[wanted[r]]; x [T, W] to out [R, W]. */
export interface SelectRowsOp {
  readonly kind: 'select-rows';
  readonly out: Value;
  readonly x: Value;
}
/** out = (x - mean) / sqrt(variance + eps) ⊙ weight + bias, statistics over each of `groups` equal parts of a row. */
export interface NormOp extends NormParameters {
  readonly kind: 'norm';
  readonly out: Value;
  readonly x: Value;
}
/** out = x / max(‖x‖₂, eps), over each of `groups` equal parts of a row. */
export interface L2NormOp {
  readonly kind: 'l2-norm';
  readonly out: Value;
  readonly x: Value;
  readonly groups: number;
  readonly eps: number;
}
/** out[t] = x[t-1] within a sequence; at its first token the state [C], which then becomes the sequence's last x. */
export interface ShiftOp {
  readonly kind: 'shift';
  readonly out: Value;
  readonly x: Value;
  readonly state: string;
}
/** out = x + (y - x) ⊙ by. */
export interface LerpOp {
  readonly kind: 'lerp';
  readonly out: Value;
  readonly x: Value;
  readonly y: Value;
  readonly by: Operand;
}
/** out = x Wᵀ; x [_, in], weight [out, in]. */
export interface MatmulOp {
  readonly kind: 'matmul';
  readonly out: Value;
  readonly x: Value;
  readonly weight: string;
}
/** out[t, b] = Σ_a x[t, a] m[t, a·B + b]; x [T, A], m [T, A·B], out [T, B]: a matrix of its own for every row. */
export interface RowMatmulOp {
  readonly kind: 'row-matmul';
  readonly out: Value;
  readonly x: Value;
  readonly m: Value;
}
/** out = x + y. */
export interface AddOp {
  readonly kind: 'add';
  readonly out: Value;
  readonly x: Value;
  readonly y: Operand;
}
/** out = x ⊙ y. */
export interface MulOp {
  readonly kind: 'mul';
  readonly out: Value;
  readonly x: Value;
  readonly y: Operand;
}
/** out = factor · x. */
export interface ScaleOp {
  readonly kind: 'scale';
  readonly out: Value;
  readonly x: Value;
  readonly factor: number;
}
/** out = activation(x). */
export interface ActivateOp {
  readonly kind: 'activate';
  readonly out: Value;
  readonly x: Value;
  readonly activation: Activation;
}
/** out = x[:, start : start + out.width]. */
export interface SliceOp {
  readonly kind: 'slice';
  readonly out: Value;
  readonly x: Value;
  readonly start: number;
}
/**
 * The likeliest of a row, so that choosing a token needs no whole row: x [_, W] to out [_, 2 count + 1], `count` at most
 * W. out = the `count` largest numbers, the largest first; their columns, the lowest first among equal numbers; and
 * Σ exp(x - the largest), within 1e-5 of its value. That sum is 0 for a row without one: with NaN or +Infinity in it, or
 * of -Infinity alone; what else lies in such a row of `out` says nothing. Computed and stored in at least f32, whatever
 * the activations. A backend need not have it; no program needs it to be right.
 */
export interface TopKOp {
  readonly kind: 'top-k';
  readonly out: Value;
  readonly x: Value;
  readonly count: number;
}
/**
 * RWKV-4 attention, per channel; state [3, C]: sums a and b and their running exponent p (arXiv:2305.13048, section 3.1
 * and appendix D). q = max(p, first + k); out = (e^{p-q} a + e^{first+k-q} v) / (e^{p-q} b + e^{first+k-q});
 * then q = max(p + decay, k); a ← e^{p+decay-q} a + e^{k-q} v; b ← e^{p+decay-q} b + e^{k-q}; p ← q.
 */
export interface Wkv4Op {
  readonly kind: 'wkv4';
  readonly out: Value;
  readonly k: Value;
  readonly v: Value;
  /** [C], negative: the logarithm of the decay per token. */
  readonly decay: Parameter;
  /** [C] */
  readonly first: Parameter;
  readonly state: string;
}
/**
 * RWKV-5 and RWKV-6 attention, per head; state S [H, N(key), N(value)] (arXiv:2404.05892, sections 4.1 and 4.2).
 * out_h = r_h (diag(first_h) k_hᵀ v_h + S_h); S_h ← k_hᵀ v_h + diag(decay_h) S_h.
 */
export interface Wkv6Op {
  readonly kind: 'wkv6';
  readonly out: Value;
  readonly r: Value;
  readonly k: Value;
  readonly v: Value;
  /** In (0, 1). v5: a parameter, [H] or [H, N]. v6: a value [T, C]. Acts on the key index. */
  readonly decay: Operand;
  /** [H] or [H, N]. */
  readonly first: Parameter;
  readonly heads: number;
  readonly state: string;
}
/**
 * RWKV-7 attention, per head, as column vectors; state S [H, N(value), N(key)] (arXiv:2503.14456, section 4.1):
 * S ← S diag(w) + (S a) bᵀ + v kᵀ; out_h = S r_h. `S a` uses the state before this token's decay.
 * For RWKV-7 a = -κ̂ and b = κ̂ ⊙ (in-context learning rate); they are separate inputs because a doubled removal turns
 * a step into a swap or a copy, which is what the paper's regular-language construction uses.
 */
export interface Wkv7Op {
  readonly kind: 'wkv7';
  readonly out: Value;
  readonly r: Value;
  /** In (0, 1). */
  readonly w: Value;
  readonly k: Value;
  readonly v: Value;
  readonly a: Value;
  readonly b: Value;
  readonly heads: number;
  readonly state: string;
}
/** out_h = (Σ_n r k by) v_h: the current token's own contribution, per head. by [H, N]. */
export interface Bonus7Op {
  readonly kind: 'bonus7';
  readonly out: Value;
  readonly r: Value;
  readonly k: Value;
  readonly v: Value;
  readonly by: Parameter;
  readonly heads: number;
}

// ---- Coarse kinds: optional; `lower()` rewrites each into primitives -------------------------------------------

/**
 * norm, shift, and one lerp per entry of `mixes`: with x̂ = norm(x) and x' its shift,
 * `toward: 'previous'` out_i = x̂ + (x' - x̂) ⊙ by_i (v6, v7); `'current'` out_i = x' + (x̂ - x') ⊙ by_i (v4, v5).
 * `normed` and `shifted`, where given, also receive x̂ and x'.
 */
export interface ShiftMixOp {
  readonly kind: 'shift-mix';
  readonly x: Value;
  readonly norm: NormParameters;
  readonly state: string;
  readonly toward: 'previous' | 'current';
  readonly mixes: readonly { readonly out: Value; readonly by: Parameter }[];
  readonly normed?: Value;
  readonly shifted?: Value;
}
/**
 * RWKV-6's data-dependent shift (arXiv:2404.05892, section 4.2). With x̂ = norm(x), x' its shift and
 * z = tanh((x̂ + (x' - x̂) ⊙ base) downᵀ) cut into equal parts z_i of width D, one per entry of `mixes`:
 * out_i = x̂ + (x' - x̂) ⊙ (by_i + z_i up_iᵀ). down [5 D, C], up_i [C, D].
 */
export interface ShiftMix6Op {
  readonly kind: 'shift-mix6';
  readonly x: Value;
  readonly norm: NormParameters;
  readonly state: string;
  readonly base: Parameter;
  readonly down: string;
  readonly mixes: readonly { readonly out: Value; readonly by: Parameter; readonly up: string }[];
}
/** out = outer(bias + inner(x downᵀ) upᵀ); down [D, in], up [out, D], bias [out]. */
export interface LowRankOp {
  readonly kind: 'low-rank';
  readonly out: Value;
  readonly x: Value;
  readonly down: string;
  readonly up: string;
  readonly inner?: Activation;
  readonly bias?: Parameter;
  readonly outer?: Activation;
}
/** out = residual + gate ⊙ activation(x Wᵀ), each part optional but `activation`, `gate` or `residual` present. */
export interface LinearOp {
  readonly kind: 'linear';
  readonly out: Value;
  readonly x: Value;
  readonly weight: string;
  readonly activation?: Activation;
  readonly gate?: Value;
  readonly residual?: Value;
}
/**
 * RWKV-7's preparation of the wkv inputs from the raw key and value (arXiv:2503.14456, section 4.1):
 * κ̂_h = (k ⊙ removal)_h / max(‖(k ⊙ removal)_h‖, eps); a = -κ̂; b = κ̂ ⊙ rate;
 * key = k ⊙ (1 + (rate - 1) ⊙ replacement); value = v + (first - v) ⊙ amount where `residual` is given.
 */
export interface Prepare7Op {
  readonly kind: 'prepare7';
  readonly k: Value;
  /** The in-context learning rate, in (0, 1). */
  readonly rate: Value;
  readonly removal: Parameter;
  readonly replacement: Parameter;
  readonly heads: number;
  readonly eps: number;
  readonly key: Value;
  readonly a: Value;
  readonly b: Value;
  readonly residual?: {
    readonly v: Value;
    readonly first: Value;
    readonly amount: Value;
    readonly out: Value;
  };
}
/** wkv6, then the per-head norm, then `⊙ gate` where given. */
export interface TimeMix6Op extends Omit<Wkv6Op, 'kind'> {
  readonly kind: 'time-mix6';
  readonly norm: NormParameters;
  readonly gate?: Value;
}
/** wkv7, then the per-head norm, plus bonus7, ⊙ gate. */
export interface TimeMix7Op extends Omit<Wkv7Op, 'kind'> {
  readonly kind: 'time-mix7';
  readonly norm: NormParameters;
  readonly bonus: Parameter;
  readonly gate: Value;
}

export type PrimitiveOp =
  | EmbedOp
  | SelectRowsOp
  | NormOp
  | L2NormOp
  | ShiftOp
  | LerpOp
  | MatmulOp
  | RowMatmulOp
  | AddOp
  | MulOp
  | ScaleOp
  | ActivateOp
  | SliceOp
  | TopKOp
  | Wkv4Op
  | Wkv6Op
  | Wkv7Op
  | Bonus7Op;
export type CoarseOp =
  ShiftMixOp | ShiftMix6Op | LowRankOp | LinearOp | Prepare7Op | TimeMix6Op | TimeMix7Op;
export type Op = PrimitiveOp | CoarseOp;
export type PrimitiveKind = PrimitiveOp['kind'];
export type CoarseKind = CoarseOp['kind'];
export type OpKind = Op['kind'];
/** The op of one kind: `OpOf<'wkv7'>`. */
export type OpOf<Kind extends OpKind> = Extract<Op, { readonly kind: Kind }>;

/** Built by `@rwkv-ts/model`; rules are checked by `validateProgram` of `@rwkv-ts/program`. */
export interface Program {
  /** Every weight the ops name, once. */
  readonly weights: readonly WeightSpec[];
  /** Every state the ops name, once; the order is the order of a snapshot's bytes. */
  readonly states: readonly StateSpec[];
  /** In execution order. Each state is named by exactly one op. */
  readonly ops: readonly Op[];
  /** What `run` returns; [R, V] for a language model. */
  readonly output: Value;
  /** What `run` returns instead where `Batch.candidates` asks for it: the `out` of a `top-k` of the output, which no op reads. */
  readonly candidates?: Value;
}
