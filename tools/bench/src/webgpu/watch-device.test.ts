import { expect, test } from 'vitest';
import { watchDevice } from './watch-device.js';

/** As much of a device as is watched. */
function fakeDevice() {
  const createBuffer = ({ size, usage }: GPUBufferDescriptor) => ({
    size,
    usage,
    destroy: () => undefined,
    mapAsync: async () => undefined,
    getMappedRange: (_offset: number, length: number) => new ArrayBuffer(length),
  });
  const pass = () => ({
    setPipeline: () => undefined,
    setBindGroup: () => undefined,
    dispatchWorkgroups: () => undefined,
    end: () => undefined,
  });
  const createCommandEncoder = () => ({
    beginComputePass: pass,
    copyBufferToBuffer: () => undefined,
    finish: () => ({}),
  });
  const queue = { submit: () => undefined, writeBuffer: () => undefined };
  return { createBuffer, createCommandEncoder, queue } as unknown as GPUDevice;
}

test('counts buffers until they are destroyed, each once', () => {
  const device = fakeDevice();
  const watch = watchDevice(device);
  const [first, second] = [64, 100].map((size) => device.createBuffer({ size, usage: 0x80 }));
  expect([watch.buffers, watch.bufferBytes]).toEqual([2, 164]);
  first!.destroy();
  first!.destroy();
  expect([watch.buffers, watch.bufferBytes]).toEqual([1, 100]);
  second!.destroy();
  expect([watch.buffers, watch.bufferBytes]).toEqual([0, 0]);
});

test('counts calls and bytes, but only meanwhile', async () => {
  const device = fakeDevice();
  const watch = watchDevice(device);
  const buffer = device.createBuffer({ size: 1024, usage: 0x1 });
  const step = async () => {
    device.queue.writeBuffer(buffer, 0, new Uint32Array(10), 2, 5);
    device.queue.writeBuffer(buffer, 0, new Uint8Array(7));
    device.queue.writeBuffer(buffer, 0, new ArrayBuffer(9), 1);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline({} as GPUComputePipeline);
    for (let n = 0; n < 3; n++) {
      pass.setBindGroup(0, {} as GPUBindGroup);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    encoder.copyBufferToBuffer(buffer, 0, buffer, 0, 512);
    device.queue.submit([encoder.finish()]);
    await buffer.mapAsync(1);
    buffer.getMappedRange(0, 512);
  };
  const counted = await watch.count(step);
  await step();
  expect(counted).toEqual({
    dispatches: 3,
    pipelines: 1,
    bindGroups: 3,
    passes: 1,
    copies: 1,
    submits: 1,
    writes: 3,
    uploadedBytes: 20 + 7 + 8,
    readBytes: 512,
  });
  expect(watch.mappedAt).toBeGreaterThan(0);
  expect(await watch.count(async () => undefined)).toMatchObject({ dispatches: 0, readBytes: 0 });
});
