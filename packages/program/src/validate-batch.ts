/** Checks a batch before anything runs, so that a rejected batch changes no state. */
import { type Batch, BackendError, type Limits, type Program } from '@rwkv-ts/backend';

/** What a batch is checked against besides the compiled limits. */
export interface BatchContext {
  /** Slots of the states handle; every slot of the batch is below it. */
  readonly slots: number;
  /** Rows of the smallest embedding table; every token is below it. */
  readonly vocabularySize: number;
  /** Width of an embedding vector. */
  readonly channels: number;
  /** Whether the backend takes embedding vectors. */
  readonly embeddings: boolean;
  /** Whether the program names candidates. */
  readonly candidates: boolean;
}

/** The part of a `BatchContext` that a program determines. Without an embed op any token id passes. */
export function batchBounds(
  program: Program,
): Pick<BatchContext, 'vocabularySize' | 'channels' | 'candidates'> {
  const shapes = new Map(program.weights.map(({ name, shape }) => [name, shape]));
  let vocabularySize = 2 ** 32;
  let channels = 0;
  for (const op of program.ops) {
    if (op.kind !== 'embed') continue;
    vocabularySize = Math.min(vocabularySize, shapes.get(op.table)?.[0] ?? 0);
    if (op.by === 'input') channels = op.out.width;
  }
  return { vocabularySize, channels, candidates: program.candidates !== undefined };
}

/**
 * Checks every rule of `Batch`. A batch without sequences is valid: it does nothing.
 * @throws BackendError `BATCH_INVALID` with `expected` and `got`
 * @throws TypeError when a field is not the typed array the contract names
 */
export function validateBatch(batch: Batch, limits: Limits, context: BatchContext): void {
  const { tokens, starts, slots, wanted, embeddings } = batch;
  requireArray('batch.tokens', tokens, Uint32Array);
  requireArray('batch.starts', starts, Uint32Array);
  requireArray('batch.slots', slots, Uint32Array);
  requireArray('batch.wanted', wanted, Uint32Array);
  atMost('batch.tokens.length', limits.tokens, tokens.length);
  atMost('batch.slots.length', limits.sequences, slots.length);
  atMost('batch.wanted.length', limits.wanted, wanted.length);
  checkStarts(starts, { sequences: slots.length, tokens: tokens.length });
  checkSlots(slots, context.slots);
  checkTokens(tokens, context.vocabularySize);
  checkIncreasing('batch.wanted', wanted, tokens.length);
  if (batch.candidates === true && !context.candidates) {
    invalid('batch.candidates', 'absent: the program names none', true);
  }
  if (embeddings === undefined) return;
  requireArray('batch.embeddings.at', embeddings.at, Uint32Array);
  requireArray('batch.embeddings.vectors', embeddings.vectors, Float32Array);
  if (!context.embeddings) invalid('batch.embeddings', 'absent: not supported', 'present');
  if (context.channels === 0) invalid('batch.embeddings', 'absent: no input table', 'present');
  checkIncreasing('batch.embeddings.at', embeddings.at, tokens.length);
  const numbers = embeddings.at.length * context.channels;
  if (embeddings.vectors.length !== numbers) {
    invalid('batch.embeddings.vectors.length', numbers, embeddings.vectors.length);
  }
}

/**
 * Checks what `Executable.outputRow` is asked for. `rows`: how many the last step keeps, 0 where it was not asked for candidates.
 * @throws BackendError `BATCH_INVALID`
 */
export function requireRow(row: number, rows: number): void {
  if (Number.isInteger(row) && row >= 0 && row < rows) return;
  invalid('The output row', `below ${rows}, the rows of the last step with candidates`, row);
}

function invalid(what: string, expected: unknown, got: unknown): never {
  throw new BackendError({
    code: 'BATCH_INVALID',
    message: `${what} must be ${String(expected)}, got ${String(got)}.`,
    expected,
    got,
  });
}

function requireArray(
  what: string,
  value: unknown,
  type: typeof Uint32Array | typeof Float32Array,
): void {
  // The common case without a walk through prototypes: this is checked at every step.
  if ((value as { readonly constructor?: unknown } | undefined)?.constructor === type) return;
  if (value instanceof type) return;
  const got = Object.prototype.toString.call(value).slice(8, -1);
  throw new TypeError(`${what} must be a ${type.name}, got ${got}.`);
}

function atMost(what: string, limit: number, got: number): void {
  if (got > limit) invalid(what, `at most ${limit}, the compiled limit`, got);
}

function checkStarts(
  starts: Uint32Array,
  { sequences, tokens }: { sequences: number; tokens: number },
): void {
  if (starts.length !== sequences + 1) {
    invalid('batch.starts.length', `${sequences + 1}, one more than batch.slots`, starts.length);
  }
  if (starts[0] !== 0) invalid('batch.starts[0]', 0, starts[0]);
  for (let index = 1; index < starts.length; index++) {
    if (starts[index]! <= starts[index - 1]!) {
      invalid(`batch.starts[${index}]`, `above ${starts[index - 1]!}`, starts[index]);
    }
  }
  if (starts[sequences] !== tokens) {
    invalid(`batch.starts[${sequences}]`, `${tokens}, the number of tokens`, starts[sequences]);
  }
}

function checkSlots(slots: Uint32Array, count: number): void {
  const seen = slots.length > 1 ? new Set<number>() : undefined;
  for (let index = 0; index < slots.length; index++) {
    const slot = slots[index]!;
    if (slot >= count) invalid(`batch.slots[${index}]`, `below ${count}`, slot);
    if (seen?.has(slot)) invalid(`batch.slots[${index}]`, 'a slot named once', `${slot} again`);
    seen?.add(slot);
  }
}

function checkTokens(tokens: Uint32Array, vocabularySize: number): void {
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index]!;
    if (token >= vocabularySize) {
      invalid(`batch.tokens[${index}]`, `below ${vocabularySize}, the vocabulary size`, token);
    }
  }
}

function checkIncreasing(what: string, indices: Uint32Array, end: number): void {
  for (let index = 0; index < indices.length; index++) {
    const value = indices[index]!;
    if (value >= end) invalid(`${what}[${index}]`, `below ${end}, the number of tokens`, value);
    if (index > 0 && value <= indices[index - 1]!) {
      invalid(`${what}[${index}]`, `above ${indices[index - 1]!}`, value);
    }
  }
}
