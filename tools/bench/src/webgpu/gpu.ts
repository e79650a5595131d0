/** Where devices come from: Dawn, through the package `webgpu`, with whatever adapter the system has. */
import { create } from 'webgpu';
import { type DeviceWatch, watchDevice } from './watch-device.js';

export interface WatchedAdapter {
  /** To be given to a backend: an adapter gives one device. */
  readonly adapter: GPUAdapter;
  readonly name: string;
  /** Whether it computes on the processor, so that its times say nothing of a GPU's. */
  readonly isProcessor: boolean;
  /** Of the device, once it was asked for. */
  readonly watch: () => DeviceWatch;
}

export interface AdapterFinder {
  /** A fresh one each time. */
  readonly find: () => Promise<WatchedAdapter>;
}

/** `toggles`: words for Dawn such as `backend=vulkan` or `adapter=NVIDIA`. */
export function adapterFinder(toggles: readonly string[]): AdapterFinder {
  const gpu = create([...toggles]);
  return {
    find: async () => {
      const found = await gpu.requestAdapter({ powerPreference: 'high-performance' });
      if (!found) {
        throw new Error(
          'WebGPU has no adapter here; on Debian tools/setup/software-gpu.sh installs one.',
        );
      }
      let watch: DeviceWatch | undefined;
      const adapter = {
        features: found.features,
        limits: found.limits,
        info: found.info,
        requestDevice: async (descriptor?: GPUDeviceDescriptor) => {
          const device = await found.requestDevice(descriptor);
          watch = watchDevice(device);
          return device;
        },
      } as GPUAdapter;
      const { info } = found;
      const isProcessor = info.isFallbackAdapter;
      return { adapter, name: nameOf(info), isProcessor, watch: () => watch! };
    },
  };
}

function nameOf({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  return description || [vendor, architecture, device].filter(Boolean).join(' ') || 'unnamed';
}
