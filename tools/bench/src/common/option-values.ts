/** Values of command line options. */
import { parseArgs } from 'node:util';
import type { WeightFormat } from '@rwkv-ts/backend';
import { formatNames, isWeightFormat } from '@rwkv-ts/formats';

export class UsageError extends Error {}

export const weightFormats: readonly WeightFormat[] = formatNames.filter(isWeightFormat);

/** As `parseArgs` takes them. */
type OptionTypes = Readonly<
  Record<string, { readonly type: 'string' | 'boolean'; readonly default?: string | boolean }>
>;

/** As `parseArgs`, positional words allowed. @throws UsageError */
export function parseWords<Named extends OptionTypes>(
  words: readonly string[],
  options: Named,
): ReturnType<typeof parseArgs<{ allowPositionals: true; options: Named }>> {
  try {
    return parseArgs({ args: [...words], allowPositionals: true, options });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

export const list = (text: string): string[] => text.split(',').filter((each) => each !== '');

export const words = (text: string): string[] => text.split(' ').filter((word) => word !== '');

export function oneOf<Name extends string>(
  what: string,
  got: string,
  names: readonly Name[],
): Name {
  const found = names.find((name) => name === got);
  if (found !== undefined) return found;
  throw new UsageError(`${what} must be one of ${names.join(', ')}, got ${got}.`);
}

export function integer(what: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new UsageError(`${what} must be integers from ${least}, got ${text}.`);
}

export function positive(what: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new UsageError(`${what} must be a positive number, got ${text}.`);
}

/** Sizes of tests; 0 and an empty list leave them out. */
export function sizes(what: string, text: string): number[] {
  return list(text)
    .map((each) => integer(what, each, 0))
    .filter((size) => size > 0);
}
