/** The small part of a checkpoint, `training.json`: where the run stood, and of what kind it was. */
import type { RwkvConfig } from '@rwkv-ts/model';
import { TrainError } from '../errors.js';

export const stateFile = 'training.json';
export const tensorFile = 'training.safetensors';
const version = 1;

export interface TrainingState {
  readonly version: typeof version;
  /** Updates done, skipped ones included. */
  readonly step: number;
  /** Updates that took effect: the optimiser's t. */
  readonly applied: number;
  readonly tokensTotal: number;
  /** What the sample stream said of its position: plain JSON. */
  readonly position: unknown;
  readonly mode: { readonly kind: string; readonly settings: unknown };
  readonly config: RwkvConfig;
  /** SHA-256 of the configuration and the mode, in hexadecimal digits. */
  readonly configHash: string;
  /** The fingerprint of the base model, where it is frozen. */
  readonly base?: string;
  /** The name of the file for users. */
  readonly learned: string;
  /** How many lanes' states `training.safetensors` holds. */
  readonly lanes: number;
}

/** Keys in sorted order at every depth: equal values give equal text. */
export function stableJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  if (Array.isArray(value)) return `[${value.map(stableJson).join()}]`;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${stableJson(each)}`).join()}}`;
}

export async function hashOf(value: unknown): Promise<string> {
  const text = new TextEncoder().encode(stableJson(value));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', text));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export const stateVersion = version;

function invalid(message: string, { expected, got }: { expected: unknown; got: unknown }): never {
  throw new TrainError({ code: 'CHECKPOINT_INVALID', message, expected, got });
}

/** Largest `training.json` that is read. */
export const stateSizeLimit = 1 << 24;

/** @throws TrainError `CHECKPOINT_INVALID` */
export async function parseState(bytes: Uint8Array, name: string): Promise<TrainingState> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TrainError({
      code: 'CHECKPOINT_INVALID',
      message: `${name} is not JSON.`,
      expected: 'JSON',
      cause,
    });
  }
  const state = (typeof value === 'object' && value !== null ? value : {}) as Partial<
    Record<keyof TrainingState, unknown>
  >;
  if (state.version !== version) {
    invalid(`${name} has version ${String(state.version)}; this program reads ${version}.`, {
      expected: version,
      got: state.version,
    });
  }
  for (const field of ['step', 'applied', 'tokensTotal', 'lanes'] as const) {
    const got = state[field];
    if (typeof got === 'number' && Number.isSafeInteger(got) && got >= 0) continue;
    invalid(`${name}: ${field} must be an integer of 0 or more, got ${String(got)}.`, {
      expected: 'an integer of 0 or more',
      got,
    });
  }
  for (const field of ['mode', 'config'] as const) {
    if (typeof state[field] === 'object' && state[field] !== null) continue;
    invalid(`${name} has no ${field}.`, { expected: 'an object', got: state[field] });
  }
  if (typeof state.learned !== 'string' || !/^[a-z.]+$/.test(state.learned)) {
    invalid(`${name} does not say which file holds what was learned.`, {
      expected: 'a file name',
      got: state.learned,
    });
  }
  const checked = state as TrainingState;
  const hash = await hashOf({ config: checked.config, mode: checked.mode });
  if (hash !== checked.configHash) {
    invalid(`${name}: the configuration's hash is not the one that was written.`, {
      expected: checked.configHash,
      got: hash,
    });
  }
  return checked;
}
