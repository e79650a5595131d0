import type { Backend } from '@rwkv-ts/backend';
import { backends, type BackendSettings, createBackend } from '../backends.js';

/**
 * The backend of `--backend` for training. Where `auto` means one that cannot train, the first after it that can takes its
 * place, and `warn` is told.
 */
export async function createTrainingBackend(
  name: string,
  { settings, warn }: { readonly settings: BackendSettings; readonly warn: (text: string) => void },
): Promise<Backend> {
  const backend = await createBackend(name, { settings, warn });
  if (name !== 'auto' || backend.createTraining !== undefined) return backend;
  for (const choice of backends) {
    const other = await choice.create().catch(() => undefined);
    if (other?.createTraining === undefined) {
      await other?.[Symbol.asyncDispose]();
      continue;
    }
    warn(`${backend.name} cannot train; computing with ${choice.name}, which is slower.`);
    await backend[Symbol.asyncDispose]();
    return other;
  }
  return backend;
}
