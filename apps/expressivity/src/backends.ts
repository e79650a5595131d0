/** The backends that commands can use. */
import type { Backend } from '@rwkv-ts/backend';
import { createCpuBackend } from '@rwkv-ts/backend-cpu';
import { createWebGpuBackend } from '@rwkv-ts/backend-webgpu';
import { createReferenceBackend } from '@rwkv-ts/reference';

const creators = {
  cpu: () => createCpuBackend(),
  webgpu: () => createWebGpuBackend(),
  reference: () => createReferenceBackend({ precision: 'f32' }),
  'reference-f64': () => createReferenceBackend({ precision: 'f64' }),
} as const satisfies Record<string, () => Backend | Promise<Backend>>;

export type BackendName = keyof typeof creators;
export const backendNames = Object.keys(creators) as BackendName[];

/** @throws BackendError `DEVICE_UNAVAILABLE` */
export async function createBackend(name: BackendName): Promise<Backend> {
  return creators[name]();
}
