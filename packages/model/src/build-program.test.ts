import type { Op, OpKind } from '@rwkv-ts/backend';
import { describe, expect, test } from 'vitest';
import { buildProgram, canonicalWeights } from './build-program.js';
import type { RwkvConfig } from './config.js';
import { ModelError } from './errors.js';

const common = {
  layers: 2,
  channels: 12,
  channelMixSize: 20,
  vocabularySize: 30,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
} as const;
const heads = { heads: 3, headSize: 4, headNormEpsilon: 64e-5 } as const;
const five = { ...common, ...heads, decayForm: 'official', bonusForm: 'plain' } as const;
const seven = {
  ...common,
  ...heads,
  ranks: { decay: 5, rate: 6, valueResidual: 7, gate: 8 },
} as const;
const configs: readonly RwkvConfig[] = [
  { ...common, version: '4', decayForm: 'official' },
  { ...five, version: '5.0' },
  { ...five, version: '5.1' },
  { ...five, version: '5.2' },
  { ...common, ...heads, version: '6', ranks: { mix: 3, decay: 5 } },
  { ...seven, version: '7' },
  { ...seven, version: '7a', deepEmbedSize: 4 },
];
const shapeOf = (config: RwkvConfig, name: string) =>
  canonicalWeights(config).find((weight) => weight.name === name)?.shape;
const kinds = (config: RwkvConfig): Set<OpKind> =>
  new Set(buildProgram(config).ops.map((op) => op.kind));
const opsOf = <Kind extends OpKind>(config: RwkvConfig, kind: Kind) =>
  buildProgram(config).ops.filter((op): op is Extract<Op, { kind: Kind }> => op.kind === kind);

describe.each(configs)('version $version', (config) => {
  const program = buildProgram(config);

  test('ends in logits [R, V]', () => {
    expect(program.output).toMatchObject({ rows: 'R', width: config.vocabularySize });
  });

  test('names every weight and state once', () => {
    const names = [...program.weights, ...program.states].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('is plain JSON', () => {
    expect(JSON.parse(JSON.stringify(program))).toEqual(program);
  });

  test('carries two shift states and one wkv state per layer', () => {
    expect(program.states.length).toBe(3 * config.layers);
    expect(program.states.filter(({ name }) => name.endsWith('.wkv')).length).toBe(config.layers);
  });

  test('folded ln0 leaves one norm and its two weights out', () => {
    const folded = buildProgram({ ...config, embeddingNorm: 'folded' });
    expect(program.weights.length - folded.weights.length).toBe(2);
    expect(program.ops.length - folded.ops.length).toBe(1);
  });

  test('every matrix is [out, in] and ends in .weight', () => {
    for (const { name, shape } of program.weights) {
      if (shape.length === 2 && !/time_decay$|time_faaaa$|r_k$/.test(name)) {
        expect(name).toMatch(/\.weight$/);
      }
    }
  });
});

test('v4 has a running maximum that starts below every key', () => {
  const state = buildProgram(configs[0]!).states.find(({ name }) => name === 'blocks.0.att.wkv');
  expect(state).toMatchObject({ shape: [3, 12], initial: [0, 0, -1e30] });
});

test('v4 and v5 mix toward the current token, v6 and v7 toward the previous one', () => {
  const toward = (config: RwkvConfig) => new Set(opsOf(config, 'shift-mix').map((op) => op.toward));
  for (const config of configs) {
    const old = config.version === '4' || config.version.startsWith('5');
    expect(toward(config)).toEqual(new Set([old ? 'current' : 'previous']));
  }
});

test('v5.0 has no gate; v5.0 and v5.1 have one decay and bonus per head, v5.2 one per channel', () => {
  expect(shapeOf(configs[1]!, 'blocks.0.att.gate.weight')).toBeUndefined();
  expect(shapeOf(configs[2]!, 'blocks.0.att.gate.weight')).toEqual([12, 12]);
  expect(shapeOf(configs[1]!, 'blocks.0.att.time_decay')).toEqual([3]);
  expect(shapeOf(configs[2]!, 'blocks.0.att.time_faaaa')).toEqual([3]);
  expect(shapeOf(configs[3]!, 'blocks.0.att.time_decay')).toEqual([3, 4]);
});

test('decay and bonus forms reach the ops', () => {
  const exponential = { ...five, version: '5.0', bonusForm: 'exp', decayForm: 'applied' } as const;
  const op = opsOf(exponential, 'time-mix6')[0];
  expect(op?.first).toEqual({ weight: 'blocks.0.att.time_faaaa', form: 'exp' });
  expect(op?.decay).toEqual({ weight: 'blocks.0.att.time_decay' });
  expect(opsOf(configs[3]!, 'time-mix6')[0]?.decay).toMatchObject({ form: 'exp-negative-exp' });
});

test('v6 divides its mixes in the order w, k, v, r, g', () => {
  const op = opsOf(configs[4]!, 'shift-mix6')[0];
  expect(op?.mixes.map(({ by }) => by.weight.at(-1))).toEqual(['w', 'k', 'v', 'r', 'g']);
  expect(shapeOf(configs[4]!, 'blocks.0.att.time_maa_w1.weight')).toEqual([15, 12]);
});

test('v7 takes ranks from the configuration and has no value residual in layer 0', () => {
  expect(shapeOf(configs[5]!, 'blocks.0.att.w1.weight')).toEqual([5, 12]);
  expect(shapeOf(configs[5]!, 'blocks.0.att.a2.weight')).toEqual([12, 6]);
  expect(shapeOf(configs[5]!, 'blocks.1.att.v1.weight')).toEqual([7, 12]);
  expect(shapeOf(configs[5]!, 'blocks.0.att.v1.weight')).toBeUndefined();
  expect(opsOf(configs[5]!, 'prepare7').map((op) => op.residual !== undefined)).toEqual([
    false,
    true,
  ]);
});

test('only v7a reads a table by token beside the embedding', () => {
  expect(opsOf(configs[6]!, 'embed').map((op) => op.by)).toEqual(['input', 'token', 'token']);
  expect(kinds(configs[5]!).has('row-matmul')).toBe(false);
});

describe('validateConfig refuses', () => {
  const bad: [string, RwkvConfig, RegExp][] = [
    ['no layers', { ...configs[0]!, layers: 0 }, /layers/],
    ['absurdly many layers', { ...configs[0]!, layers: 1e9 }, /layers/],
    ['a fraction', { ...configs[0]!, channels: 1.5 }, /channels/],
    [
      'heads that do not divide',
      { ...(configs[5] as RwkvConfig), heads: 5 } as RwkvConfig,
      /heads × headSize must be 12, got 20/,
    ],
    ['a zero rank', { ...seven, version: '7', ranks: { ...seven.ranks, gate: 0 } }, /ranks.gate/],
    ['a zero epsilon', { ...seven, version: '7', headNormEpsilon: 0 }, /headNormEpsilon/],
    ...(['normEpsilon', 'embeddingNorm', 'headNormEpsilon', 'decayForm', 'bonusForm'] as const).map(
      (field): [string, RwkvConfig, RegExp] => [
        `v5 without ${field}`,
        { ...five, version: '5.0', [field]: undefined } as unknown as RwkvConfig,
        new RegExp(field),
      ],
    ),
    [
      'v4 with an unknown form',
      { ...common, version: '4', decayForm: 'other' } as unknown as RwkvConfig,
      /decayForm must be official or applied, got other/,
    ],
    [
      'a missing rank',
      { ...common, ...heads, version: '6', ranks: { mix: 3 } } as unknown as RwkvConfig,
      /ranks.decay/,
    ],
    ['v7a without its size', { ...seven, version: '7a' }, /deepEmbedSize/],
    ['an unknown version', { ...seven, version: '9' } as unknown as RwkvConfig, /version/],
  ];
  test.each(bad)('%s', (_, config, message) => {
    expect(() => buildProgram(config)).toThrow(message);
    expect(() => buildProgram(config)).toThrow(ModelError);
  });
});
