/** The order of nodes: products that become ready together come together. */
import { phasesOf } from '@rwkv-ts/program';
import { type Draft, isJob, type Node } from './graph.js';
import { groupJobs, linearNode, type ScheduleOptions } from './linear.js';
import { PreparedViews } from './prepare.js';

export interface Schedule {
  readonly nodes: readonly Node[];
  /** Of the counters that the launch with most of them needs. */
  readonly counterBytes: number;
}

/** @throws BackendError `UNSUPPORTED_OP` */
export function schedule(drafts: readonly Draft[], options: ScheduleOptions): Schedule {
  const phases: Draft[][] = [];
  for (const [index, phase] of phasesOf(drafts).entries()) {
    (phases[phase] ??= []).push(drafts[index]!);
  }
  const views = new PreparedViews();
  const nodes: Node[] = [];
  let counterBytes = 0;
  for (const phase of phases) {
    const groups = groupJobs(phase.filter(isJob), options);
    nodes.push(...phase.filter((draft): draft is Node => !isJob(draft)), ...views.nodesFor(groups));
    for (const group of groups) {
      const made = linearNode(group, { limits: options.limits, preparedOf: views.of });
      nodes.push(made.node);
      counterBytes = Math.max(counterBytes, made.counterBytes);
    }
  }
  return { nodes, counterBytes };
}
