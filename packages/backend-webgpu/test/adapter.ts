/**
 * The adapter that tests run on. Where Mesa's software driver is installed (Debian: mesa-vulkan-drivers) it is taken, so
 * that the same numbers come out everywhere; `RWKV_WEBGPU_ADAPTER=system` leaves the choice to the system.
 */
import { existsSync } from 'node:fs';
import { create } from 'webgpu';

const lavapipe = '/usr/share/vulkan/icd.d/lvp_icd.json';
if (process.env['RWKV_WEBGPU_ADAPTER'] !== 'system' && existsSync(lavapipe)) {
  process.env['VK_ICD_FILENAMES'] ??= lavapipe;
}

/** Kept: Dawn ends with it. */
export const gpu = create([]);

/** Null where tests have nothing to run on. */
export const adapter = await gpu.requestAdapter();

export const missing = 'no WebGPU adapter; on Debian install libvulkan1 and mesa-vulkan-drivers';
if (!adapter) console.warn(`skipping tests of packages/backend-webgpu: ${missing}`);

/** One device per tier and test file: the default limits for `plain`, all that kernels may use for the other. */
export function tierDevice(tier: 'plain' | 'subgroups'): () => Promise<GPUDevice> {
  let device: Promise<GPUDevice> | undefined;
  const features: GPUFeatureName[] = tier === 'plain' ? [] : ['subgroups', 'shader-f16'];
  const requiredFeatures = features.filter((feature) => adapter?.features.has(feature));
  // An adapter gives one device.
  const open = async () => (await gpu.requestAdapter())!.requestDevice({ requiredFeatures });
  return () => (device ??= open());
}

/** What this adapter can run, best first. */
export const tiers = (['subgroups', 'plain'] as const).filter(
  (tier) => tier === 'plain' || adapter?.features.has('subgroups'),
);
