import type { CudaDevice } from '@rwkv-ts/backend-cuda';
import { expect, test } from 'vitest';
import { cudaFacts } from './backends.js';

const device: CudaDevice = {
  ordinal: 0,
  name: 'NVIDIA H200',
  computeCapability: '9.0',
  driverVersion: '13.0',
  multiprocessors: 132,
  memoryBytes: 141 * 2 ** 30,
};

test('of several devices, what is alike is told once', () => {
  const smaller = { ...device, ordinal: 1, memoryBytes: 80 * 2 ** 30 };
  expect(cudaFacts([device, smaller])).toEqual({
    'compute capability': '9.0',
    'CUDA of the driver': '13.0',
    memory: ['141.0 GiB', '80.0 GiB'],
  });
  expect(cudaFacts([device, { ...smaller, computeCapability: '8.0' }])).toMatchObject({
    'compute capability': ['9.0', '8.0'],
  });
  expect(cudaFacts([device])).toMatchObject({ memory: '141.0 GiB' });
});
