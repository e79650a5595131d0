/** What a step of a plan touches: `Buffer` is whatever a backend tells rows of activations by. */
export interface Access<Buffer> {
  readonly reads: readonly Buffer[];
  readonly writes: readonly Buffer[];
}

/**
 * The earliest phase of each node, counted from 0: the one after the last of those that write what it reads. What is in one
 * phase is independent of each other. Nodes come in an order in which they could run; several may write parts of one buffer.
 */
export function phasesOf<Buffer>(nodes: readonly Access<Buffer>[]): number[] {
  const ready = new Map<Buffer, number>();
  return nodes.map(({ reads, writes }) => {
    const phase = Math.max(0, ...reads.map((buffer) => ready.get(buffer) ?? 0));
    for (const buffer of writes) ready.set(buffer, Math.max(phase + 1, ready.get(buffer) ?? 0));
    return phase;
  });
}
