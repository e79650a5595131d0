/** One measurement, made in a process of its own: what it is told, and what it tells. Both travel as JSON. */
import type { BackendSettings } from './backends.js';
import type { Profile } from './profile.js';

interface ModelJob extends BackendSettings {
  readonly file: string;
  /** How long to measure, at least; a step that takes longer is measured once. */
  readonly seconds: number;
}

/** `batch` sequences advance by one fixed token each, step after step, through `Executable.run`; all logits are wanted. */
export interface DecodeJob extends ModelJob {
  readonly kind: 'decode';
  readonly batch: number;
}
/** One step over `tokens` tokens from an empty state, logits of the last. */
export interface PrefillJob extends ModelJob {
  readonly kind: 'prefill';
  readonly tokens: number;
}
/** `batch` texts at the same time through `Model.generate`, greedy: what a user of the library gets. */
export interface GenerateJob extends ModelJob {
  readonly kind: 'generate';
  readonly batch: number;
}
/** Another program, whose output is handed back. */
export interface CommandJob {
  readonly kind: 'command';
  readonly command: readonly string[];
}
/** node-llama-cpp, from the folder that it is installed in. */
export interface NodeLlamaCppJob {
  readonly kind: 'node-llama-cpp';
  readonly folder: string;
  readonly file: string;
  readonly threads: number;
  readonly task: 'decode' | 'prefill';
  readonly batch: number;
  readonly tokens: number;
}

export type Job = DecodeJob | PrefillJob | GenerateJob | CommandJob | NodeLlamaCppJob;

export interface JobResult {
  /** Tokens a second, over all sequences. */
  readonly rate?: number;
  readonly steps?: number;
  /** From opening the file until the first step could run. */
  readonly loadSeconds?: number;
  /** Largest resident size of the process. */
  readonly peakBytes?: number;
  /** What computed, in words. */
  readonly engine?: string;
  /** Of all steps, and what JavaScript's thread computed of them. */
  readonly milliseconds?: number;
  readonly javaScriptMilliseconds?: number;
  readonly profile?: Profile;
  /** Of the steps that were profiled: milliseconds by JavaScript's clock, waiting for each before the next. */
  readonly profiledMilliseconds?: number;
  readonly output?: string;
  /** Cores that other programs kept busy meanwhile; absent where the system does not tell. */
  readonly otherCores?: number;
  /** Instead of everything else, where it could not be measured. */
  readonly failure?: string;
}
