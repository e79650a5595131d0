import { invalid } from './failures.js';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws WeightsError `CONTAINER_INVALID` when `bytes` are no UTF-8 */
export function decodeText(bytes: Uint8Array, name: string, what: string): string {
  try {
    return strict.decode(bytes);
  } catch (cause) {
    throw invalid(name, `${what} is not valid UTF-8`, { cause });
  }
}
