/** Parsers of option values, shared by the commands. Each names the option's rule when the value breaks it. */
import { InvalidArgumentError } from 'commander';

export function integer({
  minimum,
  maximum = Number.MAX_SAFE_INTEGER,
}: {
  minimum: number;
  maximum?: number;
}) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text.trim()) || value < minimum || value > maximum) {
      const upper = maximum === Number.MAX_SAFE_INTEGER ? '' : ` to ${maximum}`;
      throw new InvalidArgumentError(`Expected a whole number from ${minimum}${upper}.`);
    }
    return value;
  };
}

export function decimal({
  minimum = -Infinity,
  maximum = Infinity,
}: { minimum?: number; maximum?: number } = {}) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < minimum || value > maximum) {
      throw new InvalidArgumentError(`Expected a number from ${minimum} to ${maximum}.`);
    }
    return value;
  };
}

/** `1,2,3` or `[1, 2, 3]`. */
export function tokenList(text: string): number[] {
  const inner = text
    .trim()
    .replace(/^\[([^]*)\]$/, '$1')
    .trim();
  if (inner === '') return [];
  return inner.split(/[\s,]+/).map((part) => {
    if (!/^\d+$/.test(part) || Number(part) > 0xffff_ffff) {
      throw new InvalidArgumentError(
        `'${part}' is not a token id; expected ids separated by commas.`,
      );
    }
    return Number(part);
  });
}

/** `1,4`: at least one size, none of them zero. */
export function sizeList(text: string): number[] {
  const parts = text.trim().split(/\s*,\s*/);
  if (!parts.every((part) => /^\d{1,9}$/.test(part) && Number(part) > 0))
    throw new InvalidArgumentError('Expected sizes from 1, separated by commas.');
  return parts.map(Number);
}

/** `0`, or `0,1`: devices as a driver counts them, each once, in the order given. */
export function deviceList(text: string): number[] {
  const parts = text.trim().split(/\s*,\s*/);
  const devices = parts.map(Number);
  const areOrdinals = parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
  if (areOrdinals && new Set(devices).size === devices.length) return devices;
  throw new InvalidArgumentError(
    'Expected devices from 0 to 255, separated by commas, each of them once.',
  );
}

export function folderName(text: string): string {
  if (text === '') throw new InvalidArgumentError('Expected a folder.');
  return text;
}

export function collect(value: string, earlier: readonly string[] | undefined): string[] {
  return [...(earlier ?? []), value];
}

/** `id=bias`, repeated. */
export function collectBias(
  text: string,
  earlier: ReadonlyMap<number, number> | undefined,
): Map<number, number> {
  const [, id, bias] =
    /^(\d+)=([+-]?(?:\d+\.?\d*|\.\d+|\d+e[+-]?\d+|inf))$/i.exec(text.trim()) ?? [];
  if (id === undefined || bias === undefined)
    throw new InvalidArgumentError('Expected ID=NUMBER, for example 261=-5.');
  const value = /inf$/i.test(bias) ? (bias.startsWith('-') ? -Infinity : Infinity) : Number(bias);
  return new Map([...(earlier ?? []), [Number(id), value]]);
}

/** `field=value`, repeated; numbers become numbers. Which fields exist is the loader's business. */
export function collectOverride(
  text: string,
  earlier: Readonly<Record<string, number | string>> | undefined,
): Record<string, number | string> {
  const at = text.indexOf('=');
  if (at <= 0)
    throw new InvalidArgumentError('Expected FIELD=VALUE, for example headNormEpsilon=1e-5.');
  const value = text.slice(at + 1).trim();
  const number = Number(value);
  return {
    ...earlier,
    [text.slice(0, at).trim()]: value !== '' && Number.isFinite(number) ? number : value,
  };
}
