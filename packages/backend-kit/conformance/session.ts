/** A program opened on a backend, with everything a case needs to run it and look at its states. */
import type {
  Backend,
  Batch,
  Executable,
  HostWeight,
  Limits,
  OpKind,
  Program,
  Rows,
  States,
  Weights,
} from '@rwkv-ts/backend';
import { coarseKinds, lower, opKinds } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import type { CaseDefinition } from './types.js';

export interface OpenOptions {
  readonly program: Program;
  readonly weights: readonly HostWeight[];
  readonly slots?: number;
  readonly limits?: Limits;
}

export const defaultLimits: Limits = { tokens: 40, sequences: 4, wanted: 40 };
export const defaultSlots = 4;

export interface Session extends AsyncDisposable {
  /** As it was compiled. */
  readonly program: Program;
  readonly weights: Weights;
  readonly states: States;
  readonly executable: Executable;
  run(batch: Batch): Promise<Rows>;
}

/** Copies, because the bytes of a weight belong to the backend once it has been handed over. */
export async function* handOver(weights: readonly HostWeight[]): AsyncGenerator<HostWeight> {
  for (const weight of weights) yield { ...weight, bytes: weight.bytes.slice() };
}

/** Uploads, creates states and compiles; what was made is disposed of when a later part fails. */
export async function open(backend: Backend, options: OpenOptions): Promise<Session> {
  const { program, weights, slots = defaultSlots, limits = defaultLimits } = options;
  const made: AsyncDisposable[] = [];
  const dispose = async () => {
    for (const handle of made.splice(0).reverse()) await handle[Symbol.asyncDispose]();
  };
  try {
    const uploaded = await backend.upload(handOver(weights), { program });
    made.push(uploaded);
    const states = await backend.createStates(program.states, slots);
    made.push(states);
    const executable = await backend.compile(program, { weights: uploaded, states }, limits);
    made.push(executable);
    const run = (batch: Batch) => executable.run(batch);
    return { program, weights: uploaded, states, executable, run, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Opens a program after rewriting what the backend does not claim. */
export function openLowered(backend: Backend, options: OpenOptions): Promise<Session> {
  return open(backend, { ...options, program: lower(options.program, backend.supports.ops) });
}

export const primitiveKinds: ReadonlySet<OpKind> = new Set(
  [...opKinds].filter((kind) => !(coarseKinds as ReadonlySet<OpKind>).has(kind)),
);

/** The oracle: the f64 reference given primitives only, so that a coarse kind is held against its own `lower` rule. */
export async function openOracle(options: OpenOptions): Promise<Session> {
  const reference = createReferenceBackend({ precision: 'f64' });
  const session = await open(reference, {
    ...options,
    program: lower(options.program, primitiveKinds),
  });
  return { ...session, [Symbol.asyncDispose]: () => reference[Symbol.asyncDispose]() };
}

/** The op kinds of a program that the backend does not claim, not even after lowering. */
export function unclaimedKinds(
  { supports }: Pick<Backend, 'supports'>,
  program: Program,
): OpKind[] {
  const claimed = [...coarseKinds].filter((kind) => supports.ops.has(kind));
  const { ops } = lower(program, new Set<OpKind>([...primitiveKinds, ...claimed]));
  return [...new Set(ops.map((op) => op.kind))].filter((kind) => !supports.ops.has(kind));
}

/** The same cases, skipped where the backend does not claim what their program is made of. */
export function requiring(
  program: Program,
  cases: readonly CaseDefinition[],
): readonly CaseDefinition[] {
  return cases.map(({ name, run }) => ({
    name,
    run: async (context) => {
      const missing = unclaimedKinds(context.backend, program);
      if (missing.length > 0) context.skip(`the case needs ${missing.join(', ')}`);
      await run(context);
    },
  }));
}

/** Little-endian f32 numbers as a snapshot holds them. */
export function numbersOf(snapshot: Uint8Array): Float32Array {
  const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength);
  return Float32Array.from({ length: snapshot.byteLength / 4 }, (_, n) =>
    view.getFloat32(4 * n, true),
  );
}

export function bytesOf(numbers: ArrayLike<number>): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  for (let n = 0; n < numbers.length; n++) view.setFloat32(4 * n, numbers[n]!, true);
  return new Uint8Array(view.buffer);
}
