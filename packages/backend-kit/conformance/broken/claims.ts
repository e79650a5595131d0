/** Claims that are not true. */
import type { OpKind } from '@rwkv-ts/backend';
import { f16ToF32, f32ToF16 } from '@rwkv-ts/formats';
import { lower } from '@rwkv-ts/program';
import { primitiveKinds } from '../session.js';
import type { BrokenBackend } from './types.js';

const withoutLinear = (ops: ReadonlySet<OpKind>) =>
  new Set([...ops].filter((kind) => kind !== 'linear'));

export const claims: readonly BrokenBackend[] = [
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
