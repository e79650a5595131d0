/** The backend on a device that the host emulates, for tests without a GPU. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { CudaBackend, CudaBackendOptions } from '../src/index.js';
import { createCudaBackend } from '../src/index.js';

const script = fileURLToPath(new URL('../scripts/emulation.mjs', import.meta.url));

interface Emulation {
  /** The library that stands in for the driver. */
  readonly driver: string;
  /** Why there is none. */
  readonly missing: string | undefined;
}

/** Built where it is not current; one process builds at a time. */
export const emulation: Emulation = build();

function build(): Emulation {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  if (status === 0) return { driver: stdout.trim(), missing: undefined };
  // Elsewhere there is nothing to emulate with.
  if (process.env['CI'] === 'true' && process.platform === 'linux') throw new Error(stderr);
  return { driver: '', missing: stderr.trim().split('\n')[0]! };
}

export function createEmulated(options: CudaBackendOptions = {}): Promise<CudaBackend> {
  // The library has its kernels compiled in.
  const kernels = [new Uint8Array(1)];
  return createCudaBackend({ driver: emulation.driver, kernels, ...options });
}
