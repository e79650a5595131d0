/** The soak on the WebGPU backend: buffers and their bytes as the device made and destroyed them. */
import { createWebGpuBackend } from '@rwkv-ts/backend-webgpu';
import { soak, type SoakOptions, type SoakResult } from '../common/soak.js';
import type { AdapterFinder } from './gpu.js';

export async function soakWebGpu(
  finder: AdapterFinder,
  options: Omit<SoakOptions, 'gauges'>,
): Promise<SoakResult & { readonly name: string }> {
  const { adapter, watch } = await finder.find();
  const backend = await createWebGpuBackend({ adapter });
  try {
    const gauges = [
      {
        title: 'buffers',
        name: 'buffers',
        read: () => watch().buffers,
        isZeroWhenEmpty: false,
      },
      {
        title: 'their bytes',
        name: 'bufferBytes',
        read: () => watch().bufferBytes,
        isZeroWhenEmpty: true,
      },
      {
        title: 'counted bytes',
        name: 'backendBytes',
        read: () => backend.bytes,
        isZeroWhenEmpty: true,
      },
    ];
    return { name: backend.name, ...(await soak(backend, { ...options, gauges })) };
  } finally {
    await backend[Symbol.asyncDispose]();
  }
}
