/** What the pickle machine computes with. Python's `str`, `int`, `float`, `bool` and `None` are JavaScript's own. */
export type PickleValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | PickleSequence
  | PickleDict
  | PickleGlobal
  | PickleStorage
  | PickleTensor;

export type PickleKey = string | number | bigint | boolean | null;

export interface PickleSequence {
  readonly kind: 'list' | 'tuple';
  readonly items: PickleValue[];
}

export interface PickleDict {
  readonly kind: 'dict';
  readonly entries: Map<PickleKey, PickleValue>;
}

/** One of the few names that `pickle-globals.ts` knows: never looked up anywhere else. */
export interface PickleGlobal {
  readonly kind: 'global';
  readonly name: string;
}

/** A persistent id: bytes in the archive entry `data/<key>`. */
export interface PickleStorage {
  readonly kind: 'storage';
  /** Of its numbers, for example `bf16`. */
  readonly format: string;
  readonly key: string;
  /** Numbers in it. */
  readonly count: number;
}

/** A view of a storage; offset and strides count numbers. */
export interface PickleTensor {
  readonly kind: 'tensor';
  readonly storage: PickleStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** For errors: what a value is, without what it holds. */
export function kindOf(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  return typeof value === 'object' ? value.kind : typeof value;
}

export function isKey(value: PickleValue): value is PickleKey {
  return value === null || typeof value !== 'object';
}
