/** What the device's memory gives: a shader that copies and one that only reads, both over buffers larger than caches. */
import { median } from '../cpu/statistics.js';
import type { AdapterFinder } from './gpu.js';

export interface Bandwidth {
  /** Bytes read and bytes written, together, a second. */
  readonly copy: number;
  readonly read: number;
  /** Of one buffer. */
  readonly bufferBytes: number;
}

const usage = { copySource: 0x4, copyDestination: 0x8, storage: 0x80 } as const;
const lanes = 256;
/** Vectors of 16 bytes that an invocation handles, neighbours side by side. */
const perLane = 16;
const largest = 2 ** 29;
const rounds = 7;

const address = `  let first = group.x * ${lanes * perLane}u + lane;`;
const main = `@compute @workgroup_size(${lanes})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
)`;
const shaders = {
  copy: `@group(0) @binding(0) var<storage, read> input: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> output: array<vec4u>;
${main} {
${address}
  for (var step = 0u; step < ${perLane}u; step++) {
    let at = first + step * ${lanes}u;
    output[at] = input[at];
  }
}`,
  // Writes only what never occurs, so that no compiler may leave out the reading.
  read: `@group(0) @binding(0) var<storage, read> input: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> output: array<vec4u>;
${main} {
${address}
  var sum = vec4u(0u);
  for (var step = 0u; step < ${perLane}u; step++) {
    sum += input[first + step * ${lanes}u];
  }
  if (all(sum == vec4u(4294967295u))) {
    output[first] = sum;
  }
}`,
};

export async function measureBandwidth({ find }: AdapterFinder): Promise<Bandwidth> {
  const { adapter } = await find();
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  try {
    const unit = 16 * lanes * perLane;
    const limit = Math.min(largest, maxBufferSize, maxStorageBufferBindingSize);
    const bufferBytes = Math.floor(limit / unit) * unit;
    const groups = bufferBytes / unit;
    const create = () =>
      device.createBuffer({
        size: bufferBytes,
        usage: usage.storage | usage.copySource | usage.copyDestination,
      });
    const [from, to] = [create(), create()];
    const time = async (code: string): Promise<number> => {
      const module = device.createShaderModule({ code });
      const pipeline = await device.createComputePipelineAsync({
        layout: 'auto',
        compute: { module, entryPoint: 'main' },
      });
      const bindGroup = device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [from, to].map((buffer, binding) => ({ binding, resource: { buffer } })),
      });
      const run = async (times: number): Promise<number> => {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        for (let n = 0; n < times; n++) pass.dispatchWorkgroups(groups);
        pass.end();
        const began = performance.now();
        device.queue.submit([encoder.finish()]);
        await device.queue.onSubmittedWorkDone();
        return (performance.now() - began) / 1000;
      };
      await run(2);
      // The difference leaves out what a submission costs anyway.
      const seconds: number[] = [];
      for (let round = 0; round < rounds; round++) seconds.push((await run(6)) - (await run(1)));
      return median(seconds) / 5;
    };
    const copy = (2 * bufferBytes) / (await time(shaders.copy));
    const read = bufferBytes / (await time(shaders.read));
    return { copy, read, bufferBytes };
  } finally {
    device.destroy();
  }
}
