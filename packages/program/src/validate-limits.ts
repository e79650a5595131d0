import type { Limits } from '@rwkv-ts/backend';

/** @throws TypeError unless `tokens` and `sequences` are positive integers and `wanted` is an integer from 0 */
export function validateLimits(limits: Limits): void {
  for (const [name, minimum] of [
    ['tokens', 1],
    ['sequences', 1],
    ['wanted', 0],
  ] as const) {
    const value = limits[name];
    if (!Number.isSafeInteger(value) || value < minimum) {
      throw new TypeError(`limits.${name} must be an integer from ${minimum}, got ${value}.`);
    }
  }
}
