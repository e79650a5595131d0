/** What a layout delivers: the file's tensors as views under their official names, and what the names and shapes cannot tell. */
import type { TensorView } from './view.js';

export const layoutNames = [
  'official',
  'hf-rwkv4',
  'hf-rwkv5',
  'hf-rwkv6',
  'fla-rwkv6',
  'fla-rwkv7',
  'smerkyg-rwkv7',
  'transformers-rwkv7',
  'rwkv-rs',
  'gguf-rwkv6',
  'gguf-rwkv7',
  'rwkv-cpp',
  'web-rwkv-st',
] as const;

/** The naming scheme of a model file, whatever its container. */
export type LayoutName = (typeof layoutNames)[number];

/** The parts joined along their first dimension, times 2^exponent. */
export interface Piece {
  readonly name: string;
  readonly parts: readonly TensorView[];
  readonly exponent?: number;
}

/** What only metadata, a config.json or the layout itself tells. Everything else is read from shapes. */
export interface LayoutFacts {
  readonly decayForm?: 'official' | 'applied';
  readonly bonusForm?: 'exp' | 'plain';
  readonly embeddingNorm?: 'separate' | 'folded';
  readonly normEpsilon?: number;
  readonly headNormEpsilon?: number;
  /** The layout's own runtime multiplies the epsilon of the other norms by the head size. */
  readonly headNormEpsilonPerHeadSize?: boolean;
  /** How many layers the header promises; fewer tensors than that are a truncated file. */
  readonly layers?: number;
}

export interface LayoutReading {
  readonly layout: LayoutName;
  /** Under official names, except that `X.weight` low-rank pieces may already be canonical. */
  readonly entries: readonly Piece[];
  /** How low-rank pairs (w1, w2, …) are stored: official files keep `[in, out]`. */
  readonly pairs: 'in-out' | 'out-in';
  readonly facts: LayoutFacts;
  /** Names in the file that no rule of the layout takes. */
  readonly unknown: readonly string[];
  readonly notes: readonly string[];
}

export type JsonObject = Readonly<Record<string, unknown>>;
