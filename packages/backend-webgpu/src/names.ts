export type { CreateWebGpuBackend, WebGpuBackend } from './create-webgpu-backend.js';
export type { Fallback } from './device/device-context.js';
export type {
  IntegerProducts,
  WebGpuBackendOptions,
  WebGpuProgress,
  WebGpuTier,
} from './options.js';
