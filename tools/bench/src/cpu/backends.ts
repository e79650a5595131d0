/** The backends that can be measured. `cpu` is imported when it is asked for, so that the others run without its addon. */
import type { Backend } from '@rwkv-ts/backend';
import { createReferenceBackend } from '@rwkv-ts/reference';

export const backendNames = ['cpu', 'reference'] as const;
export type BackendName = (typeof backendNames)[number];

export interface BackendSettings {
  readonly backend: BackendName;
  /** The reference backend has one, whatever is said here. */
  readonly threads: number;
  /** The instruction set; default: the best. */
  readonly instructions?: string;
}

export async function createBackend(settings: BackendSettings): Promise<Backend> {
  if (settings.backend === 'reference') return createReferenceBackend({ precision: 'f32' });
  const { createCpuBackend } = await import('@rwkv-ts/backend-cpu');
  const { threads, instructions } = settings;
  return createCpuBackend({ threads, ...(instructions === undefined ? {} : { instructions }) });
}
