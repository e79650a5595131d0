import type { StateSpec } from '@rwkv-ts/backend';

/**
 * Checks what `Backend.createStates` is given.
 * @throws TypeError for a name twice, a size that is no positive integer, more bytes than a number counts exactly, another
 * number of initial values than rows, and a number of slots below 1
 */
export function checkStateSpecs(specs: readonly StateSpec[], slots: number): void {
  if (!Number.isSafeInteger(slots) || slots < 1) {
    throw new TypeError(`The number of slots must be an integer from 1, got ${slots}.`);
  }
  const names = new Set<string>();
  for (const { name, shape, initial } of specs) {
    if (names.has(name)) throw new TypeError(`State ${name} must occur once, got it twice.`);
    names.add(name);
    const areSizes = shape.every((size) => Number.isSafeInteger(size) && size > 0);
    const count = shape.reduce((total, size) => total * size, 1);
    if (shape.length === 0 || !areSizes || !Number.isSafeInteger(4 * count)) {
      throw new TypeError(`State ${name} must have positive sizes, got [${shape.join(', ')}].`);
    }
    if (typeof initial !== 'number' && initial.length !== shape[0]) {
      throw new TypeError(
        `State ${name} must have ${shape[0]} initial values, got ${initial.length}.`,
      );
    }
  }
}
