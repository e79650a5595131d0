import { WeightsError } from '../errors.js';

interface Details {
  readonly expected?: unknown;
  readonly got?: unknown;
  readonly cause?: unknown;
}

/** The container `name` breaks its own format. */
export function invalid(name: string, what: string, details: Details = {}): WeightsError {
  return new WeightsError({ code: 'CONTAINER_INVALID', message: `${name}: ${what}`, ...details });
}

/** Valid, but a variant that is not read here. */
export function unsupported(name: string, what: string, details: Details = {}): WeightsError {
  return new WeightsError({
    code: 'CONTAINER_UNSUPPORTED',
    message: `${name}: ${what}`,
    ...details,
  });
}

/** Not a container read here. */
export function unknownContainer(name: string, what: string, details: Details = {}): WeightsError {
  return new WeightsError({ code: 'CONTAINER_UNKNOWN', message: `${name}: ${what}`, ...details });
}

/** A pickle that asks for more than a state dict needs. */
export function pickleRefused(name: string, what: string, details: Details = {}): WeightsError {
  return new WeightsError({ code: 'PICKLE_REFUSED', message: `${name}: ${what}`, ...details });
}

/** Text from a file, made safe to show: at most 80 characters, control characters escaped. */
export function shown(text: string): string {
  const escaped = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  // JSON leaves these as they are.
  return escaped.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A metadata value, made safe to show. */
export function shownValue(value: unknown): string {
  if (typeof value === 'string') return shown(value);
  return Array.isArray(value) ? `a list of ${value.length}` : String(value);
}
