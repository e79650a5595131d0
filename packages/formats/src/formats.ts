/** The table of all formats. A new one is a file in formats/ and a line here. */
import type { WeightFormat } from '@rwkv-ts/backend';
import type { Codec } from './codec.js';
import { FormatsError } from './errors.js';
import { bf16 } from './formats/bf16.js';
import { f16 } from './formats/f16.js';
import { f32 } from './formats/f32.js';
import { iq1m } from './formats/iq1-m.js';
import { iq1s } from './formats/iq1-s.js';
import { iq2s } from './formats/iq2-s.js';
import { iq2xs } from './formats/iq2-xs.js';
import { iq2xxs } from './formats/iq2-xxs.js';
import { iq3s } from './formats/iq3-s.js';
import { iq3xxs } from './formats/iq3-xxs.js';
import { iq4nl } from './formats/iq4-nl.js';
import { iq4xs } from './formats/iq4-xs.js';
import { mxfp4 } from './formats/mxfp4.js';
import { bool, f64, i16, i32, i64, i8, u8 } from './formats/numbers.js';
import { nvfp4 } from './formats/nvfp4.js';
import { q10 } from './formats/q1-0.js';
import { q20 } from './formats/q2-0.js';
import { q2k } from './formats/q2-k.js';
import { q3k } from './formats/q3-k.js';
import { q40 } from './formats/q4-0.js';
import { q41 } from './formats/q4-1.js';
import { q4k } from './formats/q4-k.js';
import { q50 } from './formats/q5-0.js';
import { q51 } from './formats/q5-1.js';
import { q5k } from './formats/q5-k.js';
import { q6k } from './formats/q6-k.js';
import { q80 } from './formats/q8-0.js';
import { q81 } from './formats/q8-1.js';
import { q8k } from './formats/q8-k.js';
import { tq10 } from './formats/tq1-0.js';
import { tq20 } from './formats/tq2-0.js';

const weightCodecs = {
  f32,
  f16,
  bf16,
  q8_0: q80,
  q4_0: q40,
  q4_1: q41,
  q5_0: q50,
  q5_1: q51,
  q4_k: q4k,
  q5_k: q5k,
  q6_k: q6k,
} satisfies Record<WeightFormat, Codec>;

const otherCodecs = {
  q8_1: q81,
  q2_k: q2k,
  q3_k: q3k,
  q8_k: q8k,
  q1_0: q10,
  q2_0: q20,
  iq4_nl: iq4nl,
  iq4_xs: iq4xs,
  iq1_s: iq1s,
  iq1_m: iq1m,
  iq2_xxs: iq2xxs,
  iq2_xs: iq2xs,
  iq2_s: iq2s,
  iq3_xxs: iq3xxs,
  iq3_s: iq3s,
  tq1_0: tq10,
  tq2_0: tq20,
  mxfp4,
  nvfp4,
  f64,
  bool,
  u8,
  i8,
  i16,
  i32,
  i64,
} satisfies Record<string, Codec>;

/** Every format this package reads: the device formats, and those that files hold and only the loader meets. */
export type FormatName = WeightFormat | keyof typeof otherCodecs;

const codecs: Record<FormatName, Codec> = { ...weightCodecs, ...otherCodecs };

/** The device formats first, in the order of `WeightFormat`. GGML's type names in lower case. */
export const formatNames: readonly FormatName[] = Object.keys(codecs) as FormatName[];

/** What one format is. */
export interface FormatInfo {
  readonly name: FormatName;
  /** Numbers per block, 1 for plain numbers. Blocks run along the last dimension. */
  readonly blockSize: number;
  readonly bytesPerBlock: number;
  /** Whether it is a `WeightFormat`, which backends can claim. */
  readonly device: boolean;
  readonly encodable: boolean;
}

export function isFormatName(name: string): name is FormatName {
  return Object.hasOwn(codecs, name);
}

export function isWeightFormat(name: string): name is WeightFormat {
  return Object.hasOwn(weightCodecs, name);
}

/** @throws FormatsError `FORMAT_UNKNOWN` */
export function codecOf(name: FormatName): Codec {
  if (isFormatName(name)) return codecs[name];
  throw new FormatsError({
    code: 'FORMAT_UNKNOWN',
    message: `Unknown weight format ${JSON.stringify(name)}; known: ${formatNames.join(' ')}.`,
    expected: formatNames,
    got: name,
  });
}

/** @throws FormatsError `FORMAT_UNKNOWN` */
export function formatInfo(name: FormatName): FormatInfo {
  const codec = codecOf(name);
  return {
    name,
    blockSize: codec.blockSize,
    bytesPerBlock: codec.bytesPerBlock,
    device: isWeightFormat(name),
    encodable: codec.encode !== undefined,
  };
}
