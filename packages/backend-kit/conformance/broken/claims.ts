/** Claims that are not true. */
import type { CoarseKind, OpKind, OpOf } from '@rwkv-ts/backend';
import { f16ToF32, f32ToF16 } from '@rwkv-ts/formats';
import { lower } from '@rwkv-ts/program';
import { primitiveKinds } from '../session.js';
import type { BrokenBackend } from './types.js';
import type { Fault } from './wrap.js';

const withoutLinear = (ops: ReadonlySet<OpKind>) =>
  new Set([...ops].filter((kind) => kind !== 'linear'));

/** A backend that claims a coarse kind and computes it from a changed op. */
const claimed = <Kind extends CoarseKind>(
  kind: Kind,
  change: (op: OpOf<Kind>) => OpOf<Kind>,
): Fault => ({
  supports: (supports) => ({ ...supports, ops: new Set<OpKind>([...supports.ops, kind]) }),
  program: (program) => {
    const ops = program.ops.map((op) => (op.kind === kind ? change(op as OpOf<Kind>) : op));
    return lower({ ...program, ops }, primitiveKinds);
  },
});

export const claims: readonly BrokenBackend[] = [
  {
    name: 'claims shift-mix, and always mixes toward the previous token',
    group: 'ops',
    cases: /^shift-mix:/,
    message: /^shift-mix, output 0/,
    fault: () => claimed('shift-mix', (op) => ({ ...op, toward: 'previous' })),
  },
  {
    name: 'claims shift-mix, and forgets the state of a step without wanted rows',
    group: 'ops',
    cases: /^shift-mix: toward the current/,
    message: /no wanted rows, state/,
    fault: () => ({
      ...claimed('shift-mix', (op) => op),
      run: (right, states) => async (batch) => {
        const saved = await states.read(1);
        const rows = await right(batch);
        if (batch.wanted.length === 0) states.write(1, saved);
        return rows;
      },
    }),
  },
  {
    name: 'claims low-rank, and forgets its bias',
    group: 'ops',
    cases: /^low-rank:/,
    message: /^low-rank/,
    // The bias stays named, or the program would not be valid; its form makes it one half at most.
    fault: () =>
      claimed('low-rank', (op) =>
        op.bias ? { ...op, bias: { ...op.bias, form: 'sigmoid' } } : op,
      ),
  },
  {
    name: 'claims prepare7, and mixes the value the wrong way',
    group: 'ops',
    cases: /^prepare7:/,
    message: /^prepare7, output 3/,
    fault: () =>
      claimed('prepare7', (op) => {
        if (!op.residual) return op;
        const { v, first } = op.residual;
        return { ...op, residual: { ...op.residual, v: first, first: v } };
      }),
  },
  {
    name: 'claims time-mix7, and gates with the receptance',
    group: 'ops',
    cases: /^time-mix7:/,
    message: /^time-mix7, output 0/,
    fault: () => claimed('time-mix7', (op) => ({ ...op, gate: op.r })),
  },
  {
    name: 'claims linear, and forgets its activation',
    group: 'ops',
    cases: /^linear:/,
    message: /^linear/,
    fault: () => ({
      supports: (supports) => ({ ...supports, ops: new Set([...supports.ops, 'linear' as const]) }),
      program: (program) => {
        const ops = program.ops.map((op) =>
          op.kind === 'linear' && op.activation ? { ...op, activation: 'tanh' as const } : op,
        );
        return lower({ ...program, ops }, primitiveKinds);
      },
    }),
  },
  {
    name: 'accepts an op that it does not claim',
    group: 'manifest',
    cases: /linear is claimed/,
    message: /compiling linear, which is not claimed: expected UNSUPPORTED_OP, but it succeeded/,
    fault: () => ({
      supports: (supports) => ({ ...supports, ops: withoutLinear(supports.ops) }),
      program: (program) => lower(program, primitiveKinds),
    }),
  },
  {
    name: 'accepts a weight format that it does not claim',
    group: 'manifest',
    cases: /q8_0 is claimed/,
    message:
      /uploading q8_0, which is not claimed: expected UNSUPPORTED_WEIGHT_FORMAT, but it succeeded/,
    fault: () => ({
      supports: (supports) => {
        const weightFormats = [...supports.weightFormats].filter((format) => format !== 'q8_0');
        return { ...supports, weightFormats: new Set(weightFormats) };
      },
    }),
  },
  {
    name: 'claims change after work',
    group: 'manifest',
    cases: /claims stay the same/,
    message: /the claims after work/,
    fault: () => {
      const ops = new Set<OpKind>(['embed', 'select-rows', 'matmul']);
      return {
        supports: (supports) => ({ ...supports, ops }),
        run: (right) => {
          ops.add('add');
          return right;
        },
      };
    },
  },
  ...(['q8_0', 'q4_0', 'q4_k', 'q6_k'] as const).map((format): BrokenBackend => ({
    name: `${format} decoded with a scale 5 % too large`,
    group: 'formats',
    cases: new RegExp(`^${format}: `),
    message: new RegExp(`with ${format}`),
    fault: () => ({ weight: (weight) => (weight.format === format ? scaled(weight) : weight) }),
  })),
];

const scaleField = {
  q8_0: { size: 34, at: 0 },
  q4_0: { size: 18, at: 0 },
  q4_k: { size: 144, at: 0 },
  q6_k: { size: 210, at: 208 },
} as const;

function scaled<Weight extends { readonly format: string; readonly bytes: Uint8Array }>(
  weight: Weight,
): Weight {
  const { size, at } = scaleField[weight.format as keyof typeof scaleField];
  const bytes = weight.bytes.slice();
  const view = new DataView(bytes.buffer);
  for (let start = at; start < bytes.length; start += size) {
    view.setUint16(start, f32ToF16(1.05 * f16ToF32(view.getUint16(start, true))), true);
  }
  return { ...weight, bytes };
}
