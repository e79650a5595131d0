import { runtimeGpu } from './find-gpu.js';

/** Dawn ends with the object that `create` gives, so it lives as long as the module. */
let created: Promise<GPU | undefined> | undefined;

/** The runtime's own WebGPU where it has one (Deno), else that of the optional package `webgpu`. */
export async function findGpu(): Promise<GPU | undefined> {
  const own = runtimeGpu();
  if (own) return own;
  created ??= load();
  return created;
}

async function load(): Promise<GPU | undefined> {
  try {
    const { create } = await import('webgpu');
    return create([]);
  } catch {
    created = undefined;
    return undefined;
  }
}

export const missingGpu =
  'WebGPU in Node needs the optional package `webgpu`: npm install webgpu@0.6.2, or pass a `gpu`, `adapter` or `device`.';
