/** In which form a program needs each of its weights. */
import type { Op, Program } from '@rwkv-ts/backend';
import { weightsOf } from '@rwkv-ts/program';

/** `table`: rows by token, as the file has them. `matrix`: of products. `parameter`: a vector that kernels read as f32. */
export type WeightUse = 'table' | 'matrix' | 'parameter';

export function weightUses({ ops }: Pick<Program, 'ops'>): Map<string, Set<WeightUse>> {
  const uses = new Map<string, Set<WeightUse>>();
  for (const op of ops) {
    const matrices = new Set(matricesOf(op));
    for (const name of weightsOf(op)) {
      const vectorOrTable = op.kind === 'embed' ? 'table' : 'parameter';
      const use = matrices.has(name) ? 'matrix' : vectorOrTable;
      uses.set(name, (uses.get(name) ?? new Set()).add(use));
    }
  }
  return uses;
}

function matricesOf(op: Op): string[] {
  switch (op.kind) {
    case 'matmul':
    case 'linear':
      return [op.weight];
    case 'low-rank':
      return [op.down, op.up];
    case 'shift-mix6':
      return [op.down, ...op.mixes.map(({ up }) => up)];
    default:
      return [];
  }
}
