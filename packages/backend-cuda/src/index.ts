/** RWKV on NVIDIA GPUs behind the shared backend interface. */
export { createCudaBackend, type CudaBackend, type CudaDevice } from './create-cuda-backend.js';
export type { CudaBackendOptions } from './options.js';
export type { CudaRates, MeasureOptions } from './measure.js';
