/**
 * LoRA (arXiv:2106.09685, section 4.1): frozen matrices W [out, in] get small neighbours A [r, in] and B [out, r] that
 * learn, and x Wᵀ becomes x Wᵀ + (α / r) (x Aᵀ) Bᵀ. A starts as in the paper's code, uniform within ±1/√in, B as zeros.
 */
import type { HostWeight, Op, Program, Value, WeightSpec } from '@rwkv-ts/backend';
import { decode, encode } from '@rwkv-ts/formats';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { lower, opKinds, writesOf } from '@rwkv-ts/program';
import { addLowRank, loraAlphaKey, type WritableModel, writeTensors } from '@rwkv-ts/weights';
import { optionInvalid, requireFinite, requireInteger } from '../errors.js';
import { NamedRandom } from '../initialise/random.js';
import { hostWeight } from '../numbers.js';
import type { TrainedModel, TrainingMode } from './mode.js';

export interface LoraOptions {
  /** r. Default 16. */
  readonly rank?: number | undefined;
  /** α. Default 2 r. */
  readonly alpha?: number | undefined;
  /**
   * Which matrices, by the end of their name: `att.key`, `ffn.value`, `head`. Default: receptance, key, value, output and
   * gate of every block's time mix, and receptance, key and value of its channel mix.
   */
  readonly targets?: readonly string[] | undefined;
  /** Of A. Default 0. */
  readonly seed?: number | undefined;
}

const usualTargets = /^blocks\.\d+\.(?:att|ffn)\.(?:receptance|key|value|output|gate)\.weight$/;
const stemOf = (weight: string): string => weight.slice(0, -'.weight'.length);
const downOf = (weight: string): string => `${stemOf(weight)}.lora_A`;
const upOf = (weight: string): string => `${stemOf(weight)}.lora_B`;

/** Trains a low-rank neighbour of each chosen matrix; everything else is frozen, in whatever format it has. */
export function loraTraining(options: LoraOptions = {}): TrainingMode {
  const { rank = 16, alpha = 2 * rank, targets, seed = 0 } = options;
  requireInteger('rank', rank, 1);
  requireFinite('alpha', alpha, 0);
  if (!Number.isSafeInteger(seed)) throw optionInvalid('seed', 'an integer', seed);
  const settings = { rank, alpha, ...(targets === undefined ? {} : { targets }) };
  return {
    kind: 'lora',
    settings,
    plan: (config) => {
      const lora = addLora(config, { rank, alpha, targets, seed });
      return {
        ...lora,
        trainable: lora.added.map(({ name }) => ({ kind: 'weight', name, weightDecayFactor: 1 })),
        learned: ({ read }) => ({
          name: 'adapter.safetensors',
          write: (sink) =>
            writeTensors(
              lora.added.map(({ name, shape }) => ({
                name,
                shape,
                format: 'f32',
                read: async () => encode('f32', await read(name)),
              })),
              sink,
              { metadata: { [loraAlphaKey]: String(alpha) } },
            ),
        }),
        merged: (model) => mergedModel(model, { matrices: lora.matrices, rank, alpha }),
      };
    },
  };
}

interface LoraPlan {
  readonly program: Program;
  /** The adapted ones. */
  readonly matrices: readonly WeightSpec[];
  /** A and B of each. */
  readonly added: readonly HostWeight[];
}

function addLora(
  config: RwkvConfig,
  {
    rank,
    alpha,
    targets,
    seed,
  }: { rank: number; alpha: number; targets: readonly string[] | undefined; seed: number },
): LoraPlan {
  const kinds = new Set(opKinds);
  kinds.delete('linear');
  const program = lower(buildProgram(config), kinds);
  const multiplied = new Set(
    program.ops.flatMap((op) => (op.kind === 'matmul' ? [op.weight] : [])),
  );
  const isTarget = ({ name }: WeightSpec): boolean =>
    multiplied.has(name) &&
    (targets === undefined
      ? usualTargets.test(name)
      : targets.some((target) => `.${stemOf(name)}`.endsWith(`.${target}`)));
  const matrices = program.weights.filter(isTarget);
  const missing = targets?.find(
    (target) => !matrices.some(({ name }) => `.${stemOf(name)}`.endsWith(`.${target}`)),
  );
  if (missing !== undefined || matrices.length === 0) {
    throw optionInvalid('targets', 'the ends of names of matrices of this model', missing);
  }
  const added = matrices.flatMap((matrix) => neighboursOf(matrix, { rank, seed }));
  return {
    program: rewrite(program, { matrices, rank, factor: alpha / rank }),
    matrices,
    added,
  };
}

function neighboursOf(
  { name, shape }: WeightSpec,
  { rank, seed }: { readonly rank: number; readonly seed: number },
): readonly HostWeight[] {
  const [out, width] = shape as readonly [number, number];
  const random = new NamedRandom(seed, downOf(name));
  const bound = 1 / Math.sqrt(width);
  const down = Float32Array.from({ length: rank * width }, () => random.uniform(-bound, bound));
  return [
    hostWeight({ name: downOf(name), shape: [rank, width] }, down),
    hostWeight({ name: upOf(name), shape: [out, rank] }, new Float32Array(out * rank)),
  ];
}

/** Each product with an adapted matrix gains its neighbour's. */
function rewrite(
  { weights, states, ops, output }: Program,
  {
    matrices,
    rank,
    factor,
  }: { readonly matrices: readonly WeightSpec[]; readonly rank: number; readonly factor: number },
): Program {
  const adapted = new Set(matrices.map(({ name }) => name));
  let nextId = 1 + Math.max(...ops.flatMap((op) => writesOf(op).map(({ id }) => id)));
  const rewritten = ops.flatMap((op): readonly Op[] => {
    if (op.kind !== 'matmul' || !adapted.has(op.weight)) return [op];
    const { out, x, weight } = op;
    const value = (width: number): Value => ({ id: nextId++, rows: out.rows, width });
    const [base, low, wide, scaled] = [
      value(out.width),
      value(rank),
      value(out.width),
      value(out.width),
    ];
    return [
      { ...op, out: base },
      { kind: 'matmul', out: low, x, weight: downOf(weight) },
      { kind: 'matmul', out: wide, x: low, weight: upOf(weight) },
      { kind: 'scale', out: scaled, x: wide, factor },
      { kind: 'add', out, x: base, y: scaled },
    ];
  });
  const neighbours = matrices.flatMap(({ name, shape }): WeightSpec[] => {
    const [out, width] = shape as readonly [number, number];
    return [
      { name: downOf(name), shape: [rank, width] },
      { name: upOf(name), shape: [out, rank] },
    ];
  });
  return { weights: [...weights, ...neighbours], states, ops: rewritten, output };
}

/** The base with (α / r) B A added to each adapted matrix, which becomes f32. */
function mergedModel(
  { base, read }: TrainedModel,
  {
    matrices,
    rank,
    alpha,
  }: { readonly matrices: readonly WeightSpec[]; readonly rank: number; readonly alpha: number },
): WritableModel {
  const adapted = new Set(matrices.map(({ name }) => name));
  return {
    config: base.config,
    tensors: base.tensors.map((tensor) =>
      adapted.has(tensor.name) ? { ...tensor, format: 'f32' } : tensor,
    ),
    async *weights(options): AsyncGenerator<HostWeight> {
      for await (const weight of base.weights(options)) {
        const { name, shape, format, bytes } = weight;
        if (!adapted.has(name)) {
          yield weight;
          continue;
        }
        const [out, width] = shape as readonly [number, number];
        const values = decode(format, bytes);
        const factors = { a: await read(downOf(name)), b: await read(upOf(name)), rank };
        addLowRank({ values, out, in: width }, factors, alpha / rank);
        yield hostWeight({ name, shape }, values);
      }
    },
  };
}
