/** How busy others keep the machine while something is measured, from Linux's counters. */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

interface Reading {
  /** Ticks of a hundredth of a second: of all processors, and of this process and the children it waited for. */
  readonly busy: number;
  readonly own: number;
  readonly milliseconds: number;
}

/** user, nice, system, irq, softirq; waiting and what the host took are no work of programs here. */
export function busyTicks(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (
    /^cpu +(.*)$/m.exec(stat)?.[1] ?? ''
  )
    .split(' ')
    .map(Number);
  return user + nice + system + irq + softirq;
}

/** utime, stime, cutime, cstime: the 14th to 17th field; the second is a name in parentheses that may hold anything. */
export function ownTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

function read(): Reading | undefined {
  try {
    return {
      busy: busyTicks(readFileSync('/proc/stat', 'utf8')),
      own: ownTicks(readFileSync('/proc/self/stat', 'utf8')),
      milliseconds: performance.now(),
    };
  } catch {
    return undefined;
  }
}

/** Call the result at the end: cores that other programs kept busy since. */
export function watchOthers(): () => number | undefined {
  const before = read();
  return () => {
    const after = read();
    if (!before || !after) return undefined;
    const others = after.busy - before.busy - (after.own - before.own);
    return Math.max(0, (others * 10) / (after.milliseconds - before.milliseconds));
  };
}

/** Nanoseconds that the thread of this number computed, the first field of its schedstat. */
export function computedNanoseconds(schedstat: string): number {
  return Number(schedstat.split(' ')[0]);
}

/**
 * Call the result at the end: milliseconds that JavaScript's thread, which has the number of the process, computed since.
 * Elsewhere than on Linux those in which the event loop was awake, which are more where others take its core.
 */
export function watchThisThread(): () => number {
  const loop = performance.eventLoopUtilization();
  const read = (): number | undefined => {
    try {
      return computedNanoseconds(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8'));
    } catch {
      return undefined;
    }
  };
  const before = read();
  return () => {
    const after = read();
    if (before === undefined || after === undefined)
      return performance.eventLoopUtilization(loop).active;
    return (after - before) / 1e6;
  };
}

/** Largest resident size of this process. */
export function peakBytes(): number {
  try {
    const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
    if (match) return Number(match[1]) * 1024;
  } catch {
    // Not Linux: the portable figure below.
  }
  return process.resourceUsage().maxRSS * 1024;
}
