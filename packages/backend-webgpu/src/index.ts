import { backendCreator } from './create-webgpu-backend.js';
import { findGpu, missingGpu } from './device/find-gpu.js';

export * from './names.js';

/**
 * RWKV on WebGPU: every op and weight format, f32 activations and states.
 * @throws BackendError `DEVICE_UNAVAILABLE` where there is no WebGPU, no adapter or no device
 * @throws TypeError for options out of range
 */
export const createWebGpuBackend = backendCreator({ findGpu, missingGpu });
