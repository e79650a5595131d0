import type { Activation } from '@rwkv-ts/backend';
import { activationFunctions } from '../activation.js';
import type { Numbers } from '../numbers.js';

/** target = form(stored), each number of `stored` as many times in a row as fill `target`. */
export function writeParameter(
  target: Numbers,
  { stored, form }: { readonly stored: Numbers; readonly form: Activation | undefined },
): void {
  const each = target.length / stored.length;
  for (let at = 0; at < stored.length; at++) {
    const number = form === undefined ? stored[at]! : activationFunctions[form](stored[at]!);
    target.fill(number, at * each, (at + 1) * each);
  }
}
