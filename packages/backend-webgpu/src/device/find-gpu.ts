/** The runtime's own WebGPU: browsers, workers, Deno. */
export async function findGpu(): Promise<GPU | undefined> {
  return runtimeGpu();
}

export function runtimeGpu(): GPU | undefined {
  const { navigator } = globalThis as { navigator?: { gpu?: GPU } };
  return navigator?.gpu;
}

/** For people, where there is none. */
export const missingGpu =
  'This runtime has no WebGPU (navigator.gpu); pass a `gpu`, `adapter` or `device`.';
