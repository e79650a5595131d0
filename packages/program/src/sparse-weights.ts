/** Which matrices are multiplied by vectors that are mostly zero. */
import type { Op, Program, Value } from '@rwkv-ts/backend';
import { weightsOf } from './access.js';

/**
 * The matrices whose every use is a product with what relu² left: RWKV's second channel-mix matrix, alone or with a factor
 * in between (v7a). A backend may lay them out so that the columns of zeros need not be read.
 */
export function sparseWeights({ ops }: Program): Set<string> {
  const sparse = new Set<number>();
  const found = new Set<string>();
  const others = new Set<string>();
  for (const op of ops) {
    const product = productOf(op);
    for (const weight of weightsOf(op)) {
      if (product?.weight === weight && sparse.has(product.x.id)) found.add(weight);
      else others.add(weight);
    }
    if (leavesZeros(op, sparse)) sparse.add(op.out.id);
  }
  return new Set([...found].filter((weight) => !others.has(weight)));
}

function productOf(op: Op): { readonly x: Value; readonly weight: string } | undefined {
  return op.kind === 'linear' || op.kind === 'matmul' ? op : undefined;
}

function leavesZeros(op: Op, sparse: ReadonlySet<number>): op is Op & { readonly out: Value } {
  switch (op.kind) {
    case 'linear':
      return op.activation === 'relu2' && !op.gate && !op.residual;
    case 'activate':
      return op.activation === 'relu2';
    case 'mul':
      return sparse.has(op.x.id) || ('id' in op.y && sparse.has(op.y.id));
    default:
      return false;
  }
}
