/** Runs self-tests of kernels on the device, several in one submission. */
import { packFields, type Shader } from '../kernels/shader.js';
import type { Expected, SelfTest } from '../kernels/self-test.js';
import { bufferUsage, mapModeRead, uniformBytes } from './constants.js';

export interface SelfTestRun {
  readonly shader: Shader;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly test: SelfTest;
}

/** The worst number that came out. */
export interface WrongNumber {
  /** For people. */
  readonly text: string;
  /** How far it may be off, and how far it is. */
  readonly allowed: number;
  readonly difference: number;
}

/** What came out wrong of each, undefined when all is right. */
export async function runSelfTests(
  device: GPUDevice,
  runs: readonly SelfTestRun[],
): Promise<(WrongNumber | undefined)[]> {
  const buffers = new TestBuffers(device);
  try {
    const encoder = device.createCommandEncoder();
    const encoded = runs.map((run) => encode(encoder, { run, buffers, device }));
    const sizes = encoded.flatMap((results) => results.map(({ size }) => size));
    const back = buffers.create(
      sizes.reduce((a, b) => a + b, 0),
      bufferUsage.mapRead | bufferUsage.copyDestination,
    );
    let end = 0;
    const places = encoded.map((results) =>
      results.map((buffer) => {
        encoder.copyBufferToBuffer(buffer, 0, back, end, buffer.size);
        const at = end / 4;
        end += buffer.size;
        return at;
      }),
    );
    device.queue.submit([encoder.finish()]);
    await back.mapAsync(mapModeRead);
    const numbers = new Float32Array(back.getMappedRange());
    return runs.map(({ test: { expected, expectedState, tolerance } }, index) => {
      const [arenaAt, ownAt] = places[index]!;
      const lists = expected.map((list) => ({ ...list, at: arenaAt! + list.at }));
      if (expectedState) lists.push({ at: ownAt!, numbers: expectedState });
      return worstOf(numbers, lists, tolerance);
    });
  } finally {
    buffers.destroy();
  }
}

class TestBuffers {
  readonly #device: GPUDevice;
  readonly #buffers: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  create(size: number, usage: number): GPUBuffer {
    const buffer = this.#device.createBuffer({
      size: Math.max(16, size),
      usage,
      label: 'self-test',
    });
    this.#buffers.push(buffer);
    return buffer;
  }

  filled(
    data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
    usage: number = bufferUsage.storage,
  ): GPUBuffer {
    const { copyDestination, copySource } = bufferUsage;
    const size = Math.ceil(data.byteLength / 16) * 16;
    const buffer = this.create(size, usage | copyDestination | copySource);
    this.#device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

/** The buffers that results are in: the arena, and the kernel's own where that must change. */
function encode(
  encoder: GPUCommandEncoder,
  parts: { run: SelfTestRun; buffers: TestBuffers; device: GPUDevice },
): GPUBuffer[] {
  const { run, buffers, device } = parts;
  const { shader, pipeline, layout, test } = run;
  const words = new Uint32Array((test.nodes.length * uniformBytes) / 4);
  for (const [index, values] of test.nodes.entries()) {
    const start = (index * uniformBytes) / 4;
    packFields(shader, { values, words: words.subarray(start, start + uniformBytes / 4) });
  }
  const uniforms = buffers.filled(words, bufferUsage.uniform);
  const arena = buffers.filled(test.arena);
  const shared = [buffers.filled(test.header), arena, buffers.filled(test.parameters)];
  const own = test.own && buffers.filled(test.own);
  const resources = [...shared, ...(own ? [own] : [])].map((buffer) => ({ buffer }));
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  for (const index of test.nodes.keys()) {
    const node = { buffer: uniforms, offset: index * uniformBytes, size: uniformBytes };
    const entries = [node, ...resources].map((resource, binding) => ({ binding, resource }));
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(...test.groups);
  }
  pass.end();
  return own && test.expectedState ? [arena, own] : [arena];
}

/** Of the number whose difference exceeds what is allowed by the largest factor. */
function worstOf(
  got: Float32Array,
  lists: readonly Expected[],
  tolerance: number,
): WrongNumber | undefined {
  let [wrong, total, worst] = [0, 0, 0];
  let found: WrongNumber | undefined;
  const bits = new Uint32Array(got.buffer, got.byteOffset, got.length);
  for (const { at, numbers, isBits = false } of lists) {
    const largest = numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const allowed = isBits ? 0 : tolerance * largest;
    for (const [index, value] of numbers.entries()) {
      total++;
      const number = isBits ? bits[at + index]! : got[at + index]!;
      const difference = Math.abs(number - value);
      // Written so that NaN is wrong.
      if (difference <= allowed) continue;
      wrong++;
      const factor = Number.isNaN(difference) ? Infinity : difference / allowed;
      if (factor <= worst) continue;
      worst = factor;
      const text = `number ${index} must be ${value}, got ${number}`;
      found = { text, allowed, difference };
    }
  }
  return (
    found && { ...found, text: `${wrong} of ${total} numbers are off, worst of all ${found.text}` }
  );
}
