import { isFormatName } from '@rwkv-ts/formats';
import type { FormatName } from '@rwkv-ts/formats';
import { invalid, shown, unsupported } from './failures.js';

/** Names of ggml's types by the number that GGUF stores (`enum ggml_type`); `null` for those that ggml removed. */
const ggufTypes: ReadonlyMap<number, string | null> = new Map([
  [0, 'f32'],
  [1, 'f16'],
  [2, 'q4_0'],
  [3, 'q4_1'],
  [4, null],
  [5, null],
  [6, 'q5_0'],
  [7, 'q5_1'],
  [8, 'q8_0'],
  [9, 'q8_1'],
  [10, 'q2_k'],
  [11, 'q3_k'],
  [12, 'q4_k'],
  [13, 'q5_k'],
  [14, 'q6_k'],
  [15, 'q8_k'],
  [16, 'iq2_xxs'],
  [17, 'iq2_xs'],
  [18, 'iq3_xxs'],
  [19, 'iq1_s'],
  [20, 'iq4_nl'],
  [21, 'iq3_s'],
  [22, 'iq2_s'],
  [23, 'iq4_xs'],
  [24, 'i8'],
  [25, 'i16'],
  [26, 'i32'],
  [27, 'i64'],
  [28, 'f64'],
  [29, 'iq1_m'],
  [30, 'bf16'],
  // 31 to 33 and 36 to 38 were q4_0 and iq4_nl rearranged for one kind of processor.
  [31, null],
  [32, null],
  [33, null],
  [34, 'tq1_0'],
  [35, 'tq2_0'],
  [36, null],
  [37, null],
  [38, null],
  [39, 'mxfp4'],
  [40, 'nvfp4'],
  [41, 'q1_0'],
  [42, 'q2_0'],
]);

/** The numbers of rwkv.cpp, which has its own; 4 to 6 were Q4_1_O, Q4_2 and Q4_3. */
const rwkvCppTypes: ReadonlyMap<number, string | null> = new Map([
  [0, 'f32'],
  [1, 'f16'],
  [2, 'q4_0'],
  [3, 'q4_1'],
  [4, null],
  [5, null],
  [6, null],
  [7, 'q5_0'],
  [8, 'q5_1'],
  [9, 'q8_0'],
  [10, 'q8_1'],
  [11, 'q2_k'],
  [12, 'q3_k'],
  [13, 'q4_k'],
  [14, 'q5_k'],
  [15, 'q6_k'],
  [16, 'q8_k'],
]);

const removedFromRwkvCpp = new Map([
  [4, 'Q4_1_O'],
  [5, 'Q4_2'],
  [6, 'Q4_3'],
]);

export interface GgmlTypeOf {
  readonly file: string;
  readonly tensor: string;
}

/** @throws WeightsError `CONTAINER_UNSUPPORTED` for a removed type, `CONTAINER_INVALID` for a number ggml does not use */
export function ggufFormat(type: number, { file, tensor }: GgmlTypeOf): FormatName {
  const name = ggufTypes.get(type);
  if (name === undefined) {
    throw invalid(file, `tensor ${shown(tensor)} has type ${type}, which ggml does not define`, {
      got: type,
    });
  }
  if (name !== null && isFormatName(name)) return name;
  const called = name ?? `type ${type}, which ggml has removed`;
  throw unsupported(
    file,
    `tensor ${shown(tensor)} is stored as ${called}; quantise the model again`,
    { got: type },
  );
}

export interface RwkvCppTypeOf {
  readonly file: string;
  /** What has the type: the file, or a tensor. */
  readonly what: string;
}

/** @throws WeightsError as `ggufFormat` */
export function rwkvCppFormat(type: number, { file, what }: RwkvCppTypeOf): FormatName {
  const name = rwkvCppTypes.get(type);
  if (name === undefined) {
    throw invalid(file, `${what} has type ${type}, which rwkv.cpp does not define`, { got: type });
  }
  if (name !== null && isFormatName(name)) return name;
  const called = removedFromRwkvCpp.get(type) ?? name ?? `type ${type}`;
  throw unsupported(
    file,
    `${what} is stored as ${called}, which rwkv.cpp has removed; quantise the model again`,
    {
      got: type,
    },
  );
}
