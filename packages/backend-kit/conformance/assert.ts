/** The kit's own assertions, so that it runs under any test runner and in `rwkv doctor` without one. */
import type { BackendErrorCode, Rows } from '@rwkv-ts/backend';
import { RwkvError } from '@rwkv-ts/backend';
import type { Bound } from './tolerance.js';

export class ConformanceError extends Error {
  override readonly name = 'ConformanceError';
}

export function fail(message: string): never {
  throw new ConformanceError(message);
}

export function check(condition: boolean, message: string): asserts condition {
  if (!condition) fail(message);
}

export function equal(got: unknown, expected: unknown, what: string): void {
  if (!Object.is(got, expected)) fail(`${what}: expected ${String(expected)}, got ${String(got)}`);
}

export interface Comparison {
  readonly got: Rows;
  readonly want: Rows;
  /** Numbers per row. */
  readonly width: number;
  readonly bound: Bound;
  /** Per row, a lower end for its scale; without it the scale is the row's largest wanted magnitude. */
  readonly floor?: ArrayLike<number>;
  readonly where: string;
}

/** |got - want| ≤ bound, element by element. Numbers that are not finite are never close. */
export function assertClose({ got, want, width, bound, floor, where }: Comparison): void {
  equal(got.length, want.length, `${where}: numbers returned`);
  let worst = { excess: 1, message: '' };
  for (let start = 0; start < want.length; start += width) {
    const row = start / width;
    let scale = floor?.[row] ?? 0;
    for (let n = start; n < start + width; n++) scale = Math.max(scale, Math.abs(want[n]!));
    const allowed = bound.relative * scale + bound.absolute;
    for (let n = start; n < start + width; n++) {
      const difference = Math.abs(got[n]! - want[n]!);
      if (difference <= allowed) continue;
      // Written so that NaN counts as the worst of all.
      const excess = Number.isNaN(difference) ? Infinity : difference / allowed;
      if (excess > worst.excess) {
        const message = `${where}: row ${row}, column ${n - start}: expected ${want[n]!} ± ${allowed.toExponential(2)}, got ${got[n]!}`;
        worst = { excess, message };
      }
    }
  }
  if (worst.message) fail(`${worst.message} (${worst.excess.toFixed(1)} times the bound)`);
}

/** The same bits. */
export function assertSame(got: Rows | Uint8Array, want: Rows | Uint8Array, where: string): void {
  equal(got.length, want.length, `${where}: length`);
  for (let n = 0; n < want.length; n++) {
    if (!Object.is(got[n], want[n])) {
      fail(
        `${where}: element ${n} must be the same to the bit: expected ${want[n]!}, got ${got[n]!}`,
      );
    }
  }
}

/** True where the two differ in at least one bit. */
export function differ(a: Rows | Uint8Array, b: Rows | Uint8Array): boolean {
  return a.length !== b.length || a.some((value, n) => !Object.is(value, b[n]));
}

function describeError(error: unknown): string {
  if (RwkvError.isInstance(error)) return `${error.code} (${error.message})`;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function expectCode(error: unknown, code: BackendErrorCode | 'TypeError', what: string): void {
  const matches =
    code === 'TypeError'
      ? error instanceof TypeError
      : RwkvError.isInstance(error) && error.code === code;
  if (!matches) fail(`${what}: expected ${code}, got ${describeError(error)}`);
}

/** The promise rejects; a synchronous throw is wrong. */
export async function rejects(
  action: () => Promise<unknown>,
  code: BackendErrorCode | 'TypeError',
  what: string,
): Promise<void> {
  let promise: Promise<unknown>;
  try {
    promise = action();
  } catch (error) {
    return fail(
      `${what}: expected a rejection, got a synchronous throw of ${describeError(error)}`,
    );
  }
  let error: unknown;
  try {
    await promise;
  } catch (caught) {
    error = caught ?? 'a rejection with nothing';
  }
  if (error === undefined) fail(`${what}: expected ${code}, but it succeeded`);
  expectCode(error, code, what);
}

/** The call throws at once. */
export function throws(
  action: () => unknown,
  code: BackendErrorCode | 'TypeError',
  what: string,
): void {
  let error: unknown;
  try {
    action();
  } catch (caught) {
    error = caught ?? 'a throw of nothing';
  }
  if (error === undefined) fail(`${what}: expected ${code} to be thrown at once, but it returned`);
  expectCode(error, code, what);
}

/** Throws at once or rejects: for a method that validates at once but returns a promise. */
export async function throwsOrRejects(
  action: () => Promise<unknown>,
  code: BackendErrorCode | 'TypeError',
  what: string,
): Promise<void> {
  await rejects(async () => action(), code, what);
}
