import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { BackendError } from '@rwkv-ts/backend';
import type { NativeAddon } from './native.js';

export interface CpuBackendOptions {
  /** Threads that compute. Default: the physical cores this process may use, at most 32. */
  readonly threads?: number;
  /**
   * Which instruction set's kernels run: `scalar`, `avx2`, `avxvnni`, `avx512`, `avx512bf16`, `neon`, `neon-dotprod`,
   * `neon-i8mm`. Default `auto`: the best exact one of this machine. `avx512bf16` is `avx512` but for bf16 weights with
   * more than 16 tokens at a time: it rounds activations to bf16, which is twice as fast on some processors (Zen 4).
   */
  readonly instructions?: string;
  /** Binds each thread to a core of its own. Default false: the system moves threads where there is room. */
  readonly pin?: boolean;
  /**
   * How long an idle thread spins before it sleeps, in microseconds. Spinning over the gap between two tokens saves a
   * wake-up; sleeping saves power. Default 500: what JavaScript takes between two steps, sampling included.
   */
  readonly spinMicroseconds?: number;
  /** Bytes that all handles together may hold. Default: the memory of the machine, or of its container. */
  readonly memoryLimit?: number;
}

export interface ResolvedOptions {
  readonly threads: number;
  readonly instructions: string;
  readonly pin: boolean;
  readonly spinMicroseconds: number;
  readonly memoryLimit: number;
}

const largestThreads = 256;

/**
 * @throws TypeError for options out of range
 * @throws BackendError `DEVICE_UNAVAILABLE` for instructions this machine or build lacks
 */
export function resolveOptions(options: CpuBackendOptions, addon: NativeAddon): ResolvedOptions {
  const { threads = defaultThreads(), instructions = 'auto', pin = false } = options;
  const { spinMicroseconds = 500, memoryLimit = systemMemory() } = options;
  requireInteger('threads', threads, { least: 1, most: largestThreads });
  requireInteger('spinMicroseconds', spinMicroseconds, { least: 0, most: 1e6 });
  if (typeof pin !== 'boolean') throw new TypeError(`pin must be a boolean, got ${typeof pin}.`);
  if (typeof memoryLimit !== 'number' || !(memoryLimit >= 0)) {
    throw new TypeError(`memoryLimit must be a number of bytes, got ${String(memoryLimit)}.`);
  }
  const resolved = resolveInstructions(instructions, addon);
  return { threads, instructions: resolved, pin, spinMicroseconds, memoryLimit };
}

function resolveInstructions(wanted: string, addon: NativeAddon): string {
  const available = addon.instructions();
  const choice = wanted === 'auto' ? available[0] : available.find((name) => name === wanted);
  if (choice !== undefined) return choice;
  throw new BackendError({
    code: 'DEVICE_UNAVAILABLE',
    message: `The instructions ${wanted} are not available here; this machine runs ${available.join(', ')}.`,
    expected: available,
    got: wanted,
  });
}

function requireInteger(
  name: string,
  value: number,
  { least, most }: { readonly least: number; readonly most: number },
): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new TypeError(`${name} must be an integer from ${least} to ${most}, got ${String(value)}.`);
}

/** Two hardware threads of one core share its arithmetic and its path to memory, so cores are what counts. */
function defaultThreads(): number {
  const available = availableParallelism();
  return Math.max(1, Math.min(32, Math.ceil(available / hardwareThreadsPerCore())));
}

/** 1 where the system does not tell. */
function hardwareThreadsPerCore(): number {
  if (process.platform === 'win32') return 2;
  if (process.platform !== 'linux') return 1;
  try {
    const path = '/sys/devices/system/cpu/cpu0/topology/thread_siblings_list';
    const [list = ''] = readFileSync(path, 'utf8').trim().split('\n');
    return siblingsIn(list);
  } catch {
    return 1;
  }
}

/** How many processors a list such as `0,64` or `0-1` names. */
export function siblingsIn(list: string): number {
  let count = 0;
  for (const part of list.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    if (!match) return 1;
    count += match[2] === undefined ? 1 : Math.max(0, Number(match[2]) - Number(match[1])) + 1;
  }
  return Math.max(1, count);
}

function systemMemory(): number {
  const container = process.constrainedMemory();
  const machine = totalmem();
  // Without a container's limit some systems report 0, others a number beyond any memory.
  return container > 0 && container < machine ? container : machine;
}
