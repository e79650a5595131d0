import type { Rows, StateSpec } from '@rwkv-ts/backend';

/** A snapshot holds spec after spec. */
export function numbersByName(
  states: readonly StateSpec[],
  snapshot: Uint8Array,
): (name: string) => Rows {
  const numbers = new Float32Array(snapshot.slice().buffer);
  const found = new Map<string, Rows>();
  let at = 0;
  for (const { name, shape } of states) {
    const size = shape.reduce((total, length) => total * length, 1);
    found.set(name, numbers.subarray(at, (at += size)));
  }
  return (name) => found.get(name)!;
}
