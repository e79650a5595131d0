/** Puts nodes into phases: what a phase holds is independent of each other, so threads wait once per phase. */
import { phasesOf } from '@rwkv-ts/program';
import type { Node } from './graph.js';

export interface Scheduled {
  readonly node: Node;
  readonly phase: number;
}

/** Every node as early as what it reads allows; ordered by phase. */
export function schedule(nodes: readonly Node[]): Scheduled[] {
  const phases = phasesOf(nodes);
  const scheduled = nodes.map((node, index) => ({ node, phase: phases[index]! }));
  return scheduled.sort((a, b) => a.phase - b.phase);
}
