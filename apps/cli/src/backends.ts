/** The backends this app was built with. An app picks backends by importing them; nothing in the packages knows this list. */
import type { Backend } from '@rwkv-ts/backend';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { UsageError } from './failure.js';

export interface BackendChoice {
  readonly name: string;
  readonly description: string;
  create(): Promise<Backend>;
}

/** In order of preference. */
export const backends: readonly BackendChoice[] = [
  {
    name: 'reference',
    description: 'plain TypeScript, f32',
    create: async () => createReferenceBackend({ precision: 'f32' }),
  },
  {
    name: 'reference-f64',
    description: 'plain TypeScript, f64: the exact mathematics, for checking',
    create: async () => createReferenceBackend({ precision: 'f64' }),
  },
];

const aliases: Readonly<Record<string, string>> = {
  'reference-f32': 'reference',
  f32: 'reference',
  f64: 'reference-f64',
};

export function findBackend(name: string): BackendChoice {
  const wanted = aliases[name] ?? name;
  const choice =
    wanted === 'auto' ? backends[0] : backends.find((backend) => backend.name === wanted);
  if (choice) return choice;
  throw new UsageError(
    `there is no backend '${name}'; this build has ${backends.map((backend) => backend.name).join(', ')}.`,
  );
}
