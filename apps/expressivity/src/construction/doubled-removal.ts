/**
 * The one formula in which models of the construction differ from released ones: what is removed from the state is
 * doubled, b = 2 κ̂ ⊙ rate instead of κ̂ ⊙ rate.
 *
 * It cannot do without. Released models have state transitions diag(w) - κ̂(κ̂ ⊙ a)ᵀ with w in (0.545, 1) and a in (0, 1),
 * whose eigenvalues lie in (-0.455, 1): none is negative and of modulus 1, and without one a linear recurrence of finite
 * precision cannot even tell parity at any length (arXiv:2411.12537, theorem 1), whatever its weights. Doubling lets the
 * eigenvalue along κ̂ reach -1, which is the reflection that a swap is.
 */
import type { Op, Program, Value } from '@rwkv-ts/backend';
import { writesOf } from '@rwkv-ts/program';

/** A program of RWKV-7 with every removal doubled: one `scale` more in each layer. The input is not changed. */
export function doubledRemoval(program: Program): Program {
  let nextId = Math.max(...program.ops.flatMap(writesOf).map(({ id }) => id)) + 1;
  const doubled = new Map<number, Value>();
  const ops = program.ops.flatMap((op): Op[] => {
    if (op.kind === 'prepare7') {
      const out = { ...op.b, id: nextId++ };
      doubled.set(op.b.id, out);
      return [op, { kind: 'scale', out, x: op.b, factor: 2 }];
    }
    return [op.kind === 'time-mix7' ? { ...op, b: doubled.get(op.b.id) ?? op.b } : op];
  });
  return { ...program, ops };
}
