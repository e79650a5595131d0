import type { Program } from '@rwkv-ts/backend';
import { programMismatch } from './errors.js';

/** What a handle holds under a name. */
interface Named {
  get(name: string): { readonly shape: readonly number[] } | undefined;
}

/**
 * Checks that the handles hold what the program names, in the same shapes.
 * @throws BackendError `PROGRAM_INVALID`
 */
export function checkBindings(
  program: Program,
  handles: { readonly weights: Named; readonly states: Named },
): void {
  for (const { name, shape } of program.weights) {
    check(`weight ${name}`, { shape, held: handles.weights.get(name), where: 'weights' });
  }
  for (const { name, shape } of program.states) {
    check(`state ${name}`, { shape, held: handles.states.get(name), where: 'states' });
  }
}

function check(
  what: string,
  parts: {
    readonly shape: readonly number[];
    readonly held: { readonly shape: readonly number[] } | undefined;
    readonly where: string;
  },
): void {
  const { shape, held, where } = parts;
  if (!held) throw programMismatch(what, `in the ${where} handle`, 'missing');
  const same =
    shape.length === held.shape.length && shape.every((size, axis) => size === held.shape[axis]);
  if (!same) throw programMismatch(what, `[${shape.join(', ')}]`, `[${held.shape.join(', ')}]`);
}
