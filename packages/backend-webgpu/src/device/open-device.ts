/** From options to a device, with as much of the adapter's limits as kernels can use. */
import { deviceUnavailable } from '../errors.js';
import type { WebGpuBackendOptions, WebGpuTier } from '../options.js';

export interface GpuFinder {
  readonly findGpu: () => Promise<GPU | undefined>;
  readonly missingGpu: string;
}

export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly isOwn: boolean;
  readonly tier: WebGpuTier;
  /** Whether kernels may use `shader-f16`. */
  readonly halves: boolean;
  /** For people. */
  readonly description: string;
  /** Kept alive with the device: some implementations end with the object that made the adapter. */
  readonly gpu: GPU | undefined;
}

/** @throws BackendError `DEVICE_UNAVAILABLE` */
export async function openDevice(
  options: WebGpuBackendOptions,
  finder: GpuFinder,
): Promise<OpenedDevice> {
  const { device, tier: wanted = 'auto' } = options;
  if (device) {
    const tier = chooseTier(wanted, device.features);
    return {
      device,
      isOwn: false,
      tier,
      halves: usesHalves(wanted, device.features),
      description: describe(device.adapterInfo),
      gpu: options.gpu,
    };
  }
  const { adapter, gpu } = await openAdapter(options, finder);
  const tier = chooseTier(wanted, adapter.features);
  const halves = usesHalves(wanted, adapter.features);
  const requiredFeatures: GPUFeatureName[] = [
    ...(tier === 'subgroups' ? (['subgroups'] as const) : []),
    ...(halves ? (['shader-f16'] as const) : []),
  ];
  const requiredLimits = tier === 'plain' && wanted === 'plain' ? {} : usefulLimits(adapter.limits);
  try {
    const own = await adapter.requestDevice({ requiredFeatures, requiredLimits });
    const description = describe(adapter.info);
    return { device: own, isOwn: true, tier, halves, description, gpu };
  } catch (cause) {
    throw deviceUnavailable(`The adapter ${describe(adapter.info)} gives no device.`, cause);
  }
}

async function openAdapter(
  { adapter, gpu: given, powerPreference }: WebGpuBackendOptions,
  { findGpu, missingGpu }: GpuFinder,
): Promise<{ adapter: GPUAdapter; gpu: GPU | undefined }> {
  if (adapter) return { adapter, gpu: given };
  const gpu = given ?? (await findGpu());
  if (!gpu) throw deviceUnavailable(missingGpu);
  let found: GPUAdapter | null;
  try {
    found = await gpu.requestAdapter(powerPreference === undefined ? {} : { powerPreference });
  } catch (cause) {
    throw deviceUnavailable('Asking for a WebGPU adapter failed.', cause);
  }
  if (found) return { adapter: found, gpu };
  throw deviceUnavailable(
    'WebGPU has no adapter here: no GPU, no driver that it accepts, or it is switched off.',
  );
}

function chooseTier(wanted: WebGpuTier | 'auto', features: ReadonlySet<string>): WebGpuTier {
  const has = features.has('subgroups');
  if (wanted === 'plain') return 'plain';
  if (wanted === 'subgroups' && !has) {
    throw deviceUnavailable('The adapter has no subgroups; the tier plain runs on it.');
  }
  return has ? 'subgroups' : 'plain';
}

/** The tier `plain`, asked for by name, does without. */
const usesHalves = (wanted: WebGpuTier | 'auto', features: ReadonlySet<string>): boolean =>
  wanted !== 'plain' && features.has('shader-f16');

/** Defaults are too small for the weights of larger models; all else stays at the defaults, which kernels keep to. */
function usefulLimits(limits: GPUSupportedLimits): Record<string, number> {
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = limits;
  return { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage };
}

function describe({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const text = description || [vendor, architecture, device].filter(Boolean).join(' ');
  return text || 'an unnamed adapter';
}
