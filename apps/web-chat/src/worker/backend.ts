/** The device: the GPU where there is one, otherwise plain TypeScript, and then the page says so. */
import { type Backend, RwkvError } from '@rwkv-ts/backend';
import { createWebGpuBackend } from '@rwkv-ts/backend-webgpu';

export interface OpenedBackend {
  readonly backend: Backend;
  readonly name: string;
  readonly slowBecause?: string;
  /** Told when the GPU goes away by itself; undefined for a backend that cannot. */
  readonly lost?: Promise<string>;
}

export async function openBackend(
  onShaders: (done: number, total: number) => void,
): Promise<OpenedBackend> {
  try {
    const backend = await createWebGpuBackend({
      powerPreference: 'high-performance',
      onProgress: ({ stage, done, total }) => {
        if (stage === 'pipelines') onShaders(done, total);
      },
    });
    const lost = backend.device.lost.then(({ reason, message }) => `${reason}: ${message}`);
    return { backend, name: backend.name, lost };
  } catch (error) {
    if (!RwkvError.isInstance(error) || error.code !== 'DEVICE_UNAVAILABLE') throw error;
    // Loaded only where it is needed: most visitors never do.
    const { createReferenceBackend } = await import('@rwkv-ts/reference');
    return {
      backend: createReferenceBackend({ precision: 'f32' }),
      name: 'plain TypeScript, one thread',
      slowBecause: error.message,
    };
  }
}
