/** From a program to pipelines, bind groups and buffers, once; a step then only encodes. */
import type { Limits, Program, Value } from '@rwkv-ts/backend';
import {
  batchBounds,
  fusedPreparations,
  lowerHeadNorms,
  type PlacedParameter,
  requireLive,
  stepHeaderWords,
} from '@rwkv-ts/program';
import { bufferUsage, uniformBytes } from './device/constants.js';
import type { ChosenShader } from './device/device-context.js';
import { encodeOp } from './encode/ops.js';
import { type Buffer, type Candidate, Graph, matrixValues, type Node } from './encode/graph.js';
import { fieldValues, place, type Placement } from './encode/place.js';
import { schedule } from './encode/schedule.js';
import type { Engine, KernelFeatures } from './engine.js';
import { activationCode } from './kernels/math.js';
import { parameterShader } from './kernels/parameter.js';
import { quantiseShader } from './kernels/quantise.js';
import { packFields } from './kernels/shader.js';
import { Holding } from './memory.js';
import type { WebGpuStates } from './states.js';
import type { WebGpuWeights } from './weights.js';

export interface CompileOptions {
  /** Valid, and its weights and states are there. */
  readonly program: Program;
  readonly weights: WebGpuWeights;
  readonly states: WebGpuStates;
  readonly limits: Limits;
}

export interface CompiledVariant {
  readonly mostRows: number;
  readonly pipeline: GPUComputePipeline;
  /** Groups for one row; 0 where there is nothing to do. */
  readonly groups: number;
  readonly rowsPerGroup: number;
  readonly rowsFirst: boolean;
}

export interface CompiledNode {
  readonly kind: string;
  /** Which of T, R and S it has a row for. */
  readonly rows: 0 | 1 | 2;
  readonly bindGroup: GPUBindGroup;
  readonly variants: readonly CompiledVariant[];
  readonly forCandidates: boolean;
}

/** Rows that `run` gives out: where they begin in the arena and how far apart they are, bytes and numbers. */
export interface Answer {
  readonly offset: number;
  readonly stride: number;
  readonly width: number;
}

export interface Compiled {
  readonly nodes: readonly CompiledNode[];
  readonly header: GPUBuffer;
  readonly headerWords: Uint32Array<ArrayBuffer>;
  readonly arena: GPUBuffer;
  readonly output: Answer;
  readonly candidates: Answer | undefined;
  readonly holding: Holding;
}

const rowKinds = ['T', 'R', 'S'] as const;

/** The dispatches of a program in their order. */
export function nodesOf(
  given: Program,
  {
    weights,
    limits,
    features,
  }: Pick<CompileOptions, 'weights' | 'limits'> & Pick<Engine, 'features'>,
): Node[] {
  const program = lowerHeadNorms(given);
  const graph = new Graph(program, (name) => weights.get(name)!);
  const context = { graph, fused: fusedPreparations(program) };
  for (const op of program.ops) encodeOp(op, context);
  return schedule(graph.drafts, { limits, features });
}

/** @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST`, `DEVICE_UNAVAILABLE` */
export async function compileProgram(engine: Engine, options: CompileOptions): Promise<Compiled> {
  const { program, weights, limits } = options;
  const { context } = engine;
  const features = await workingFeatures(engine);
  const nodes = nodesOf(program, { weights, limits, features });
  const countOf = (name: string): number => {
    const { rows, columns } = weights.get(name)!;
    return rows * columns;
  };
  const placement = place(nodes, { limits, countOf });
  const holding = new Holding(engine.memory);
  try {
    const { storage, copySource, copyDestination, uniform } = bufferUsage;
    const create = (what: string, bytes: number, usage: number) =>
      context.createBuffer({ what, bytes, usage, holding });
    const words = stepHeaderWords(limits, batchBounds(program).channels);
    const headerBytes = 4 * words;
    const arena = await create(
      'The activations of a step',
      4 * placement.arena.size,
      storage | copySource,
    );
    const parameters = await create('The parameters', 4 * placement.parameters.numbers, storage);
    const header = await create('The header of a step', headerBytes, storage | copyDestination);
    const uniforms = await create(
      'The nodes of a program',
      nodes.length * uniformBytes,
      uniform | copyDestination,
    );
    holding.take(headerBytes, 'The header of a step');
    const headerWords = new Uint32Array(words);
    const buffers = { arena, parameters, header, uniforms };
    const compiled = await compileNodes(engine, { ...options, nodes, placement, buffers });
    await fillParameters(engine, { weights, placement, buffers });
    requireLive(weights.disposed, 'weights handle');
    requireLive(options.states.disposed, 'states handle');
    context.requireSound();
    const { output, candidates } = program;
    const answer = (buffer: Buffer, { width }: Value): Answer => ({
      offset: 4 * placement.arena.offsets.get(buffer)!,
      stride: buffer.stride,
      width,
    });
    return {
      nodes: compiled,
      header,
      headerWords,
      arena,
      output: answer(placement.output, output),
      candidates: candidates && answer(placement.candidates!, candidates),
      holding,
    };
  } catch (error) {
    await context.idle();
    holding.release();
    throw error;
  }
}

/** Rows that are rounded wrongly would spoil every product of integers, so without them there are none. */
async function workingFeatures({ features, context }: Engine): Promise<KernelFeatures> {
  if (features.integers === 'never' || (await context.works(quantiseShader()))) return features;
  return { ...features, integers: 'never' };
}

interface Buffers {
  readonly arena: GPUBuffer;
  readonly parameters: GPUBuffer;
  readonly header: GPUBuffer;
  readonly uniforms: GPUBuffer;
}

async function compileNodes(
  engine: Engine,
  parts: CompileOptions & { nodes: readonly Node[]; placement: Placement; buffers: Buffers },
): Promise<CompiledNode[]> {
  const { nodes, placement, buffers, weights, states } = parts;
  const { context, onProgress } = engine;
  const shaders = new Map<string, Promise<ChosenShader>>();
  const making = (candidates: readonly Candidate[]): Promise<ChosenShader> => {
    const { code } = candidates[0]!.shader;
    const found = shaders.get(code) ?? context.choose(candidates.map(({ shader }) => shader));
    shaders.set(code, found);
    return found;
  };
  for (const { variants } of nodes) {
    for (const { shaders: candidates } of variants) making(candidates).catch(() => undefined);
  }
  let done = 0;
  const total = shaders.size;
  await Promise.all(
    [...shaders.values()].map(async (one) => {
      await one;
      onProgress({ stage: 'pipelines', done: ++done, total });
    }),
  );
  const words = new Uint32Array((nodes.length * uniformBytes) / 4);
  const compiled: CompiledNode[] = [];
  for (const [index, node] of nodes.entries()) {
    const variants: CompiledVariant[] = [];
    for (const { mostRows, shaders: candidates } of node.variants) {
      const { pipeline, index: which } = await making(candidates);
      const { groups, rowsPerGroup, rowsFirst } = candidates[which]!;
      variants.push({ mostRows, pipeline, groups, rowsPerGroup, rowsFirst });
    }
    const { shader } = node.variants[0]!.shaders[0]!;
    const start = (index * uniformBytes) / 4;
    packFields(shader, {
      values: fieldValues(node, placement),
      words: words.subarray(start, start + uniformBytes / 4),
    });
    const own = node.matrices.map(
      ({ weight, part }) => weights.get(weight)!.parts[part]!.page.buffer,
    );
    if (node.state !== undefined) own.push(states.get(node.state)!.buffer);
    const bindGroup = bindGroupOf(engine, { shader, buffers, index, own });
    const rows = rowKinds.indexOf(node.rows) as 0 | 1 | 2;
    const { kind, forCandidates = false } = node;
    compiled.push({ kind, rows, bindGroup, variants, forCandidates });
  }
  if (words.length > 0) context.device.queue.writeBuffer(buffers.uniforms, 0, words);
  return compiled;
}

function bindGroupOf(
  { context }: Engine,
  {
    shader,
    buffers: { uniforms, header, arena, parameters },
    index,
    own,
  }: {
    shader: { storages: readonly ('read' | 'write')[] };
    buffers: Buffers;
    index: number;
    own: readonly GPUBuffer[];
  },
): GPUBindGroup {
  const node = { buffer: uniforms, offset: index * uniformBytes, size: uniformBytes };
  const shared = [node, { buffer: header }, { buffer: arena }, { buffer: parameters }];
  const resources = [...shared, ...own.map((buffer) => ({ buffer }))];
  return context.device.createBindGroup({
    layout: context.layout(shader.storages),
    entries: resources.map((resource, binding) => ({ binding, resource })),
  });
}

/** Decodes every parameter, with its form, into the buffer of parameters. */
async function fillParameters(
  engine: Engine,
  parts: { weights: WebGpuWeights; placement: Placement; buffers: Buffers },
): Promise<void> {
  const { weights, placement, buffers } = parts;
  const { context } = engine;
  const { device } = context;
  const jobs = placement.parameters.placed.flatMap((placed) =>
    weights.get(placed.parameter.weight)!.parts.map((_, part) => ({ placed, part })),
  );
  if (jobs.length === 0) return;
  const holding = new Holding(engine.memory);
  try {
    const { uniform, copyDestination, storage } = bufferUsage;
    const create = (bytes: number, usage: number) =>
      context.createBuffer({ what: 'Reading parameters', bytes, usage, holding });
    const uniforms = await create(jobs.length * uniformBytes, uniform | copyDestination);
    const none = await create(16, storage);
    const words = new Uint32Array((jobs.length * uniformBytes) / 4);
    const own = { uniforms, header: none, arena: buffers.parameters, parameters: none };
    const dispatches = await Promise.all(
      jobs.map(({ placed, part }, index) =>
        parameterDispatch(engine, { weights, placed, part, index, words, buffers: own }),
      ),
    );
    // What was disposed of meanwhile goes only after what is queued, so from here on the weights stay.
    requireLive(weights.disposed, 'weights handle');
    device.queue.writeBuffer(uniforms, 0, words);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, bindGroup, groups } of dispatches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...groups);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    await context.idle();
  } finally {
    holding.release();
  }
}

async function parameterDispatch(
  engine: Engine,
  parts: {
    readonly weights: WebGpuWeights;
    readonly placed: PlacedParameter;
    readonly part: number;
    readonly index: number;
    readonly words: Uint32Array;
    readonly buffers: Buffers;
  },
): Promise<{
  pipeline: GPUComputePipeline;
  bindGroup: GPUBindGroup;
  groups: [number, number, number];
}> {
  const { weights, placed, part, index, words, buffers } = parts;
  const { weight, form, repeat } = placed.parameter;
  const stored = weights.get(weight)!;
  const { format, columns, layout } = stored;
  const { firstRow, rows, page } = stored.parts[part]!;
  const shader = parameterShader(format, layout);
  const { pipeline } = await engine.context.choose([shader]);
  const matrix = matrixValues(stored, part);
  const start = (index * uniformBytes) / 4;
  packFields(shader, {
    values: {
      width: columns,
      count: rows,
      out: placed.offset + firstRow * columns * repeat,
      activation: activationCode(form),
      repeat,
      ...matrix,
    },
    words: words.subarray(start, start + uniformBytes / 4),
  });
  const bindGroup = bindGroupOf(engine, { shader, buffers, index, own: [page.buffer] });
  const y = Math.min(rows, 65_535);
  return { pipeline, bindGroup, groups: [Math.ceil(matrix.granules / 64), y, Math.ceil(rows / y)] };
}
