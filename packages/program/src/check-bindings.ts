/** What `Backend.compile` checks beside the program itself. */
import { BackendError, type OpKind, type Program } from '@rwkv-ts/backend';

/**
 * Every op kind is among the supported ones; `name` is the backend's. Checked before all else.
 * @throws BackendError `UNSUPPORTED_OP`
 */
export function requireOps(
  program: Program,
  { supported, name }: { readonly supported: ReadonlySet<OpKind>; readonly name: string },
): void {
  for (const [index, { kind }] of program.ops.entries()) {
    if (supported.has(kind)) continue;
    throw new BackendError({
      code: 'UNSUPPORTED_OP',
      message: `Op ${index} is of the kind ${kind}; ${name} supports ${[...supported].join(', ')}. lower() rewrites coarse kinds.`,
      expected: [...supported],
      got: kind,
    });
  }
}

/** Finds what a handle holds under a name. */
export type FindShape = (name: string) => readonly number[] | undefined;

/**
 * The handles hold what the program names, in the same shapes.
 * @throws BackendError `PROGRAM_INVALID`
 */
export function checkBindings(
  program: Program,
  handles: { readonly weights: FindShape; readonly states: FindShape },
): void {
  for (const { name, shape } of program.weights) {
    check(`weight ${name}`, { shape, held: handles.weights(name), where: 'weights' });
  }
  for (const { name, shape } of program.states) {
    check(`state ${name}`, { shape, held: handles.states(name), where: 'states' });
  }
}

function check(
  what: string,
  parts: {
    readonly shape: readonly number[];
    readonly held: readonly number[] | undefined;
    readonly where: string;
  },
): void {
  const { shape, held, where } = parts;
  if (!held) throw mismatch(what, `in the ${where} handle`, 'missing');
  if (shape.length === held.length && shape.every((size, axis) => size === held[axis])) return;
  throw mismatch(what, `[${shape.join(', ')}]`, `[${held.join(', ')}]`);
}

function mismatch(what: string, expected: string, got: string): BackendError {
  return new BackendError({
    code: 'PROGRAM_INVALID',
    message: `The ${what} must be ${expected}, got ${got}.`,
    expected,
    got,
  });
}
