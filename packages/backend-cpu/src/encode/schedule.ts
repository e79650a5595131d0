/** Puts nodes into phases: what a phase holds is independent of each other, so threads wait once per phase. */
import type { Buffer, Node } from './graph.js';

export interface Scheduled {
  readonly node: Node;
  readonly phase: number;
}

/** Every node as early as what it reads allows; ordered by phase. */
export function schedule(nodes: readonly Node[]): Scheduled[] {
  const ready = new Map<Buffer, number>();
  const scheduled = nodes.map((node) => {
    const phase = Math.max(0, ...node.reads.map((buffer) => ready.get(buffer) ?? 0));
    for (const buffer of node.writes) ready.set(buffer, phase + 1);
    return { node, phase };
  });
  return scheduled.sort((a, b) => a.phase - b.phase);
}
