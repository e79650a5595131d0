/** Colours for standard output and standard error, each only where that stream is a terminal. */
import pico from 'picocolors';

/** NO_COLOR and FORCE_COLOR as everywhere: any value but the empty one counts. */
export function wantsColors(
  stream: { readonly isTTY?: boolean },
  environment: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  if (environment['NO_COLOR']) return false;
  if (environment['FORCE_COLOR']) return environment['FORCE_COLOR'] !== '0';
  return stream.isTTY === true && environment['TERM'] !== 'dumb';
}

export const outputColors = pico.createColors(wantsColors(process.stdout));
export const errorColors = pico.createColors(wantsColors(process.stderr));
