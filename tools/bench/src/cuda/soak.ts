/** The soak on the CUDA backend: bytes by its own count, and what the driver says is free. */
import type { CudaBackend } from '@rwkv-ts/backend-cuda';
import { soak, type SoakOptions, type SoakResult } from '../common/soak.js';

/** Graphs and other programs take and give some of the device's memory. */
const driversShare = 64e6;

export function soakCuda(
  backend: CudaBackend,
  options: Omit<SoakOptions, 'gauges'>,
): Promise<SoakResult> {
  const gauges = [
    {
      title: 'counted bytes',
      name: 'counted bytes',
      read: () => backend.bytes,
      isZeroWhenEmpty: true,
    },
    {
      title: 'free bytes of the device',
      name: 'free memory of the device',
      read: () => backend.freeBytes(),
      tolerance: driversShare,
      isZeroWhenEmpty: false,
    },
  ];
  return soak(backend, { ...options, gauges });
}
