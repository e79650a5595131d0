/** What kernels cannot do is refused before anything is allocated. */
import { BackendError, type Op, type Program } from '@rwkv-ts/backend';
import { shiftMixKernel } from '../kernels/shift-mix.js';
import { topKChunk } from '../kernels/top-k.js';

const mostHeadSize = 256;
/** Blocks along y. */
const mostParts = 65_535;

/**
 * `name` is the backend's, for people.
 * @throws BackendError `UNSUPPORTED_OP`
 */
export function requireSizes({ ops }: Program, name: string): void {
  for (const [index, op] of ops.entries()) {
    for (const [what, got, most] of sizesOf(op)) {
      if (got <= most) continue;
      throw new BackendError({
        code: 'UNSUPPORTED_OP',
        message: `Op ${index}, ${op.kind}, has ${got} ${what}; ${name} computes at most ${most}.`,
        expected: most,
        got,
      });
    }
  }
}

/** What of an op is limited, how much it has of it, and how much it may have. */
function sizesOf(op: Op): (readonly [what: string, got: number, most: number])[] {
  switch (op.kind) {
    case 'wkv6':
    case 'wkv7':
    case 'time-mix6':
    case 'time-mix7':
      return [
        ['heads', op.heads, mostParts],
        ['channels in a head', op.out.width / op.heads, mostHeadSize],
      ];
    case 'bonus7':
    case 'prepare7':
      return [['heads', op.heads, mostParts]];
    case 'norm':
    case 'l2-norm':
      return [['groups', op.groups, mostParts]];
    case 'top-k':
      return [['numbers to find', op.count, topKChunk]];
    case 'shift-mix':
      return [['mixes', op.mixes.length, shiftMixKernel.jobs.most]];
    default:
      return [];
  }
}
