/** Small groups of permutations, as multiplication tables. */

export interface Group {
  readonly name: string;
  /** Elements are numbers below it; 0 is the identity. */
  readonly order: number;
  /** [order, order]: `product[a * order + b]` is a after b: first b, then a. */
  readonly product: Uint8Array;
}

type Permutation = readonly number[];

/** All permutations of 0 to n - 1, the identity first. */
function permutations(n: number): Permutation[] {
  if (n === 0) return [[]];
  const shorter = permutations(n - 1);
  // The largest number goes in from the end on, so that the identity comes first.
  return Array.from({ length: n }, (_, at) => n - 1 - at).flatMap((at) =>
    shorter.map((rest) => [...rest.slice(0, at), n - 1, ...rest.slice(at)]),
  );
}

function isEven(permutation: Permutation): boolean {
  let inversions = 0;
  for (const [at, value] of permutation.entries()) {
    for (const later of permutation.slice(at + 1)) if (later < value) inversions++;
  }
  return inversions % 2 === 0;
}

function groupOf(name: string, elements: readonly Permutation[]): Group {
  const order = elements.length;
  const index = new Map(elements.map((element, at) => [element.join(), at]));
  const product = new Uint8Array(order * order);
  for (const [a, after] of elements.entries()) {
    for (const [b, before] of elements.entries()) {
      product[a * order + b] = index.get(before.map((value) => after[value]!).join())!;
    }
  }
  return { name, order, product };
}

/**
 * Parity: two elements. S3: the smallest group whose elements do not commute. A5 and S5: not solvable, so that their word
 * problem is complete for NC¹ (Barrington 1989), beyond what a linear recurrence with diagonal transitions can do.
 */
export const groups = {
  parity: () => groupOf('parity', permutations(2)),
  S3: () => groupOf('S3', permutations(3)),
  A5: () => groupOf('A5', permutations(5).filter(isEven)),
  S5: () => groupOf('S5', permutations(5)),
} as const satisfies Record<string, () => Group>;

export type GroupName = keyof typeof groups;
export const groupNames = Object.keys(groups) as GroupName[];
