/**
 * A function on registers as a sequence of elementary moves. Registers 0 to n - 1 hold values s; a function f asks for
 * s'[q] = s[f(q)] in all registers at once.
 */

/** `copy`: s[to] ← s[from]. `swap`: s[to] ↔ s[from]. */
export interface RegisterMove {
  readonly kind: 'copy' | 'swap';
  readonly to: number;
  readonly from: number;
}

/**
 * The moves that, made one after the other, do f. There are n less the number of connected components of f's graph
 * (q joined to f(q)), so at most n - 1: each component is one cycle, which takes a swap less than it has registers, and
 * trees that hang on it, which take a copy for each register, leaves first, while what they copy is still there.
 */
export function movesOf(f: readonly number[]): RegisterMove[] {
  const moves: RegisterMove[] = [];
  const readers = new Array<number>(f.length).fill(0);
  for (const [q, source] of f.entries()) if (source !== q) readers[source]!++;
  const isDone = f.map((source, q) => source === q);
  const leaves = f.map((_, q) => q).filter((q) => !isDone[q] && readers[q] === 0);
  // The list grows while it is walked.
  for (const q of leaves) {
    const source = f[q]!;
    moves.push({ kind: 'copy', to: q, from: source });
    isDone[q] = true;
    readers[source]!--;
    if (readers[source] === 0 && !isDone[source]) leaves.push(source);
  }
  for (const first of f.keys()) {
    // Each swap puts one register right and hands the first register's value on.
    for (let q = first; !isDone[q]; q = f[q]!) {
      isDone[q] = true;
      const source = f[q]!;
      if (!isDone[source]) moves.push({ kind: 'swap', to: q, from: source });
    }
  }
  return moves;
}

/** The register that holds, before the moves, what `register` holds after them. */
export function sourceOf(register: number, moves: readonly RegisterMove[]): number {
  return moves.reduceRight((at, { kind, to, from }) => {
    if (at === to) return from;
    return kind === 'swap' && at === from ? to : at;
  }, register);
}
