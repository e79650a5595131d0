/** Random models that behave like trained ones: norms near 1, decays spread over (0, 1), logits of deviation about 1. */
import type {
  Activation,
  HostWeight,
  NormParameters,
  Op,
  OpKind,
  OpOf,
  Parameter,
  Program,
  WeightFormat,
  WeightSpec,
} from '@rwkv-ts/backend';
import { encode, formatInfo } from '@rwkv-ts/formats';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { isValue } from '@rwkv-ts/program';
import { type Draw, normal, Random, uniform } from './random.js';

export interface RandomWeightsOptions {
  readonly seed: number;
  /**
   * How matrices are stored; vectors, and matrices whose rows are no multiple of the format's block, stay f32.
   * Default f32.
   */
  readonly format?: WeightFormat;
}

/**
 * A weight for every name of the program (or of the configuration's program). What a weight is used for, not its name,
 * decides its distribution, so programs made by hand work too. The same seed gives the same bytes; a weight's numbers
 * depend on the seed and its own name only. The bytes belong to the caller.
 */
export function createRandomWeights(
  source: RwkvConfig | Program,
  { seed, format = 'f32' }: RandomWeightsOptions,
): HostWeight[] {
  const program = 'ops' in source ? source : buildProgram(source);
  const draws = drawsOf(program);
  return program.weights.map(({ name, shape }) => {
    const count = shape.reduce((total, size) => total * size, 1);
    const values = new Random(seed, name).fill(count, draws.get(name) ?? normal(0.5));
    const stored = fits(shape, format) ? format : 'f32';
    return { name, shape, format: stored, bytes: encode(stored, values) };
  });
}

function fits(shape: readonly number[], format: WeightFormat): boolean {
  return shape.length === 2 && (shape[1] ?? 0) % formatInfo(format).blockSize === 0;
}

interface Roles {
  readonly shapeOf: (weight: string) => readonly number[];
  /** The activation that the value goes through next, if any: it tells a decay from an ordinary bias. */
  readonly nextActivation: (value: number) => Activation | undefined;
  readonly set: (weight: string, draw: Draw) => void;
}

type RoleTable = { readonly [K in OpKind]: (op: OpOf<K>, roles: Roles) => void };

const none = () => undefined;
/** Keeps the deviation of a row of deviation 1, times `gain`. */
const matrix = (weight: string, roles: Roles, gain = 1) => {
  roles.set(weight, normal(gain / Math.sqrt(roles.shapeOf(weight)[1] ?? 1)));
};
const norm = ({ weight, bias }: NormParameters, { set }: Roles) => {
  set(weight, (random) => 1 + 0.1 * random.normal());
  set(bias, normal(0.1));
};
const mix = ({ weight }: Parameter, { set }: Roles) => {
  set(weight, uniform(0, 1));
};
/** Biases of decays are spread as in trained models: most channels forget slowly, some at once. */
const biases: { readonly [A in Activation]?: Draw } = {
  'exp-negative-exp': uniform(-5, 0.5),
  decay7: uniform(-5, 1),
};
const bias = (
  parameter: Parameter,
  activation: Activation | undefined,
  { set }: Pick<Roles, 'set'>,
) => {
  set(parameter.weight, (activation && biases[activation]) ?? normal(0.5));
};
const decay4 = ({ weight, form }: Parameter, { set }: Roles) => {
  const stored = uniform(-5, 0.5);
  set(weight, form === 'negative-exp' ? stored : (random) => -Math.exp(stored(random)));
};
const decay6 = ({ weight, form }: Parameter, { set }: Roles) => {
  const stored = uniform(-5, 0.5);
  set(weight, form === undefined ? (random) => Math.exp(-Math.exp(stored(random))) : stored);
};
const first6 = ({ weight, form }: Parameter, { set }: Roles) => {
  set(weight, form === 'exp' ? uniform(-2, 0.2) : uniform(-0.2, 1));
};
const wkv6 = (op: OpOf<'wkv6'> | OpOf<'time-mix6'>, roles: Roles) => {
  if (!isValue(op.decay)) decay6(op.decay, roles);
  first6(op.first, roles);
};

const table: RoleTable = {
  embed: ({ table, by }, roles) => {
    // A side table's rows are [K, K] matrices (DeepEmbed), so they are scaled like one.
    const width = roles.shapeOf(table)[1] ?? 1;
    roles.set(table, normal(by === 'input' ? 1 : 0.5 / Math.sqrt(Math.sqrt(width))));
  },
  'select-rows': none,
  norm,
  'l2-norm': none,
  shift: none,
  lerp: (op, roles) => {
    if (!isValue(op.by)) mix(op.by, roles);
  },
  matmul: ({ weight }, roles) => {
    matrix(weight, roles);
  },
  'row-matmul': none,
  add: ({ y, out }, roles) => {
    if (!isValue(y)) bias(y, roles.nextActivation(out.id), roles);
  },
  mul: ({ y }, { set }) => {
    if (!isValue(y)) set(y.weight, uniform(0.7, 1.1));
  },
  scale: none,
  activate: none,
  slice: none,
  'top-k': none,
  wkv4: ({ decay, first }, roles) => {
    decay4(decay, roles);
    roles.set(first.weight, normal(0.5));
  },
  wkv6,
  wkv7: none,
  bonus7: ({ by }, { set }) => {
    set(by.weight, normal(0.3));
  },
  'shift-mix': (op, roles) => {
    norm(op.norm, roles);
    for (const { by } of op.mixes) mix(by, roles);
  },
  'shift-mix6': (op, roles) => {
    norm(op.norm, roles);
    mix(op.base, roles);
    matrix(op.down, roles);
    for (const { by, up } of op.mixes) {
      mix(by, roles);
      matrix(up, roles, 0.3);
    }
  },
  'low-rank': (op, roles) => {
    matrix(op.down, roles);
    matrix(op.up, roles, 0.7);
    if (op.bias) bias(op.bias, op.outer, roles);
  },
  linear: ({ weight, residual }, roles) => {
    matrix(weight, roles, residual ? 0.7 : 1);
  },
  prepare7: ({ removal, replacement }, { set }) => {
    set(removal.weight, uniform(0.7, 1));
    set(replacement.weight, uniform(0.8, 1.2));
  },
  'time-mix6': (op, roles) => {
    wkv6(op, roles);
    norm(op.norm, roles);
  },
  'time-mix7': (op, roles) => {
    norm(op.norm, roles);
    roles.set(op.bonus.weight, normal(0.3));
  },
};

function drawsOf({ ops, weights }: Program): ReadonlyMap<string, Draw> {
  const shapes = new Map(weights.map(({ name, shape }: WeightSpec) => [name, shape]));
  const activated = new Map(
    ops.flatMap((op) => (op.kind === 'activate' ? [[op.x.id, op.activation] as const] : [])),
  );
  const draws = new Map<string, Draw>();
  const roles: Roles = {
    shapeOf: (weight) => shapes.get(weight) ?? [],
    nextActivation: (value) => activated.get(value),
    set: (weight, draw) => draws.set(weight, draw),
  };
  for (const op of ops) (table[op.kind] as (op: Op, roles: Roles) => void)(op, roles);
  return draws;
}
