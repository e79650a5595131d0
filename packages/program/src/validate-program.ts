/** Checks a program against every rule of the contract, so that backends can trust what they compile. */
import {
  BackendError,
  type Op,
  type Program,
  RwkvError,
  type StateSpec,
  type Value,
  type WeightSpec,
} from '@rwkv-ts/backend';
import { opKinds, readsOf, stateOf, weightsOf, writesOf } from './access.js';
import { checkShapes } from './shape-rules.js';
import { OpChecker } from './op-checker.js';

/**
 * Every value is assigned exactly once and before use, always with the same rows and width; shapes fit each op's
 * formula; the weights and states listed are exactly those the ops name, with fitting shapes; each state belongs to one
 * op; the output is an assigned [R, width] value, candidates are those of a `top-k` of it; all `input` tables are equally wide.
 * @throws BackendError `PROGRAM_INVALID`, its message naming the op's index and kind, with `expected` and `got`
 */
export function validateProgram(program: Program): void {
  checkLists(program);
  const weights = listByName('weight', program.weights);
  const states = listByName('state', program.states);
  for (const spec of program.weights) checkShape('weight', spec);
  for (const spec of program.states) checkState(spec);
  const usedWeights = new Set<string>();
  const stateOwners = new Map<string, number>();
  const values = new Map<number, Value>();
  let inputWidth: number | undefined;
  for (const [index, op] of program.ops.entries()) {
    const checker = new OpChecker({ index, op, weights, states });
    checkOp(checker, { op, values });
    for (const name of weightsOf(op)) usedWeights.add(name);
    const state = stateOf(op);
    if (state !== undefined) {
      const owner = stateOwners.get(state);
      if (owner !== undefined) {
        checker.fail(`state ${state} named by one op`, 1, `op ${owner} and op ${index}`);
      }
      stateOwners.set(state, index);
    }
    if (op.kind === 'embed' && op.by === 'input') {
      inputWidth ??= op.out.width;
      checker.equal('width of every input table', inputWidth, op.out.width);
    }
  }
  checkAllUsed('weight', weights, usedWeights);
  checkAllUsed('state', states, stateOwners);
  checkOutput('output', program.output, values);
  if (program.candidates !== undefined) checkCandidates(program, program.candidates, values);
}

/** A program may come from a file; what is read before the rules of each part needs its type checked first. */
function checkLists(program: Program): void {
  const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
  if (!isObject(program)) throw invalid('it', 'an object', program);
  for (const name of ['weights', 'states', 'ops'] as const) {
    const list: unknown = program[name];
    if (!Array.isArray(list)) throw invalid(name, 'a list', list);
    const odd = list.findIndex((item) => !isObject(item));
    if (odd !== -1) throw invalid(`${name}[${odd}]`, 'an object', list[odd]);
  }
  if (!isObject(program.output)) throw invalid('output', 'a value', program.output);
  if (program.candidates !== undefined && !isObject(program.candidates)) {
    throw invalid('candidates', 'a value', program.candidates);
  }
}

function checkOp(checker: OpChecker, { op, values }: { op: Op; values: Map<number, Value> }): void {
  if (!opKinds.has(op.kind)) checker.fail('op kind', [...opKinds].join(', '), op.kind);
  try {
    for (const value of readsOf(op)) checker.assigned(value, values.get(value.id));
    for (const value of writesOf(op)) {
      checker.wellFormed(value);
      if (values.has(value.id)) checker.fail(`value ${value.id} assigned`, 'once', 'twice');
      values.set(value.id, value);
    }
    checkShapes(op, checker);
  } catch (cause) {
    if (RwkvError.isInstance(cause)) throw cause;
    // A field that is absent or of another type, as a program parsed from JSON may have.
    checker.fail('fields', `those of ${op.kind}`, 'an absent or malformed one', cause);
  }
}

function invalid(what: string, expected: unknown, got: unknown): BackendError {
  return new BackendError({
    code: 'PROGRAM_INVALID',
    message: `Program: ${what} must be ${String(expected)}, got ${show(got)}.`,
    expected,
    got,
  });
}

/** Short, and safe for whatever a file may hold. */
function show(value: unknown): string {
  if (typeof value === 'object') return JSON.stringify(value).slice(0, 60);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : typeof value;
}

function listByName<Spec extends { readonly name: string }>(
  what: string,
  specs: readonly Spec[],
): ReadonlyMap<string, Spec> {
  const named = new Map<string, Spec>();
  for (const spec of specs) {
    if (typeof spec.name !== 'string' || spec.name === '') {
      throw invalid(`name of a ${what}`, 'a string that is not empty', spec.name);
    }
    if (named.has(spec.name)) throw invalid(`${what} ${spec.name}`, 'listed once', 'listed twice');
    named.set(spec.name, spec);
  }
  return named;
}

function checkShape(what: string, { name, shape }: WeightSpec): void {
  if (!Array.isArray(shape) || shape.length === 0) {
    throw invalid(`shape of ${what} ${name}`, 'a list of sizes', JSON.stringify(shape));
  }
  let count = 1;
  for (const size of shape as readonly unknown[]) {
    count *= typeof size === 'number' && Number.isSafeInteger(size) && size > 0 ? size : NaN;
  }
  if (!Number.isSafeInteger(count)) {
    throw invalid(`sizes of ${what} ${name}`, 'positive integers', JSON.stringify(shape));
  }
}

function checkState(spec: StateSpec): void {
  checkShape('state', spec);
  if (typeof spec.initial !== 'number' && !Array.isArray(spec.initial)) {
    throw invalid(`initial of state ${spec.name}`, 'a number or a list of numbers', spec.initial);
  }
  const initial = typeof spec.initial === 'number' ? [spec.initial] : spec.initial;
  const rows = spec.shape[0];
  if (typeof spec.initial !== 'number' && initial.length !== rows) {
    throw invalid(`length of initial of state ${spec.name}`, rows, initial.length);
  }
  for (const value of initial) {
    if (typeof value !== 'number' || !Number.isFinite(Math.fround(value))) {
      throw invalid(`initial of state ${spec.name}`, 'finite in f32', value);
    }
  }
}

function checkAllUsed(
  what: string,
  listed: ReadonlyMap<string, unknown>,
  used: { has(name: string): boolean },
): void {
  for (const name of listed.keys()) {
    if (!used.has(name)) throw invalid(`${what} ${name}`, 'named by an op', 'named by none');
  }
}

function checkOutput(what: string, output: Value, values: ReadonlyMap<number, Value>): void {
  const value = values.get(output.id);
  if (!value) throw invalid(what, 'a value an op assigns', `value ${output.id}`);
  if (output.rows !== 'R') throw invalid(`rows of the ${what}`, 'R', output.rows);
  if (value.rows !== output.rows || value.width !== output.width) {
    throw invalid(
      `shape of the ${what}, value ${output.id}`,
      `[${value.rows}, ${value.width}]`,
      `[${output.rows}, ${output.width}]`,
    );
  }
}

function checkCandidates(
  { ops, output }: Program,
  candidates: Value,
  values: ReadonlyMap<number, Value>,
): void {
  checkOutput('candidates', candidates, values);
  const { id } = candidates;
  const maker = ops.find((op) => writesOf(op).some((value) => value.id === id));
  if (maker?.kind !== 'top-k' || maker.x.id !== output.id) {
    throw invalid('candidates', `made by a top-k of value ${output.id}, the output`, maker?.kind);
  }
  const reader = ops.findIndex((op) => readsOf(op).some((value) => value.id === id));
  if (reader !== -1) throw invalid('candidates', 'read by no op', `value ${id} of op ${reader}`);
}
