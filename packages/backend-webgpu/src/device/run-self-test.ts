/** Runs a kernel's self-test on the device. */
import { packFields, type Shader } from '../kernels/shader.js';
import type { SelfTest } from '../kernels/self-test.js';
import { bufferUsage, mapModeRead, uniformBytes } from './constants.js';

/** What came out wrong, for people; undefined when all is right. */
export async function runSelfTest(
  device: GPUDevice,
  parts: {
    readonly shader: Shader;
    readonly pipeline: GPUComputePipeline;
    readonly layout: GPUBindGroupLayout;
    readonly test: SelfTest;
  },
): Promise<string | undefined> {
  const { shader, pipeline, layout, test } = parts;
  const buffers: GPUBuffer[] = [];
  const { storage, uniform, copySource, copyDestination, mapRead } = bufferUsage;
  const create = (size: number, usage: number): GPUBuffer => {
    const buffer = device.createBuffer({ size: Math.max(16, size), usage, label: 'self-test' });
    buffers.push(buffer);
    return buffer;
  };
  const filled = (
    data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
    usage: number = storage,
  ): GPUBuffer => {
    const size = Math.ceil(data.byteLength / 16) * 16;
    const buffer = create(size, usage | copyDestination | copySource);
    device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  };
  try {
    const words = new Uint32Array(uniformBytes / 4);
    packFields(shader, { values: test.values, words });
    const arena = filled(test.arena);
    const bound = [filled(words, uniform), filled(test.header), arena, filled(test.parameters)];
    const own = test.own && filled(test.own);
    if (own) bound.push(own);
    const bindGroup = device.createBindGroup({
      layout,
      entries: bound.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const stateBytes = test.expectedState && test.own ? test.own.byteLength : 0;
    const arenaBytes = test.arena.byteLength;
    const back = create(arenaBytes + stateBytes, mapRead | copyDestination);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...test.groups);
    pass.end();
    encoder.copyBufferToBuffer(arena, 0, back, 0, arenaBytes);
    if (own && stateBytes > 0) encoder.copyBufferToBuffer(own, 0, back, arenaBytes, stateBytes);
    device.queue.submit([encoder.finish()]);
    await back.mapAsync(mapModeRead);
    const numbers = new Float32Array(back.getMappedRange());
    const state = { at: arenaBytes / 4, numbers: test.expectedState ?? [] };
    for (const { at, numbers: expected } of [...test.expected, state]) {
      const wrong = firstWrong(numbers.subarray(at), { expected, tolerance: test.tolerance });
      if (wrong) return wrong;
    }
    return undefined;
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}

function firstWrong(
  got: Float32Array,
  { expected, tolerance }: { expected: readonly number[]; tolerance: number },
): string | undefined {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (const [index, value] of expected.entries()) {
    // Written so that NaN is wrong.
    if (Math.abs(got[index]! - value) <= tolerance * largest) continue;
    return `number ${index} must be ${value}, got ${got[index]}`;
  }
  return undefined;
}
