/**
 * Which device does which op, where a backend has several. A program is cut into runs of ops, so that what crosses from
 * device to device is little.
 */
import { liveValues, necksOf, widthOf } from './liveness.js';
import type { Program } from '@rwkv-ts/backend';

/** The device of each op, by its place in the backend. */
export type Cut = readonly number[];

export interface SharesOptions {
  /** What each device can take, in any unit; 0 is nothing. */
  readonly shares: readonly number[];
  /** Of the op's weights and states on a device. */
  readonly bytesOf: (op: Program['ops'][number]) => number;
}

/** How much fuller than need be the fullest device may become for the sake of a narrower cut, or of an even one. */
const tolerance = 0.03;
/** Of a cut as wide as the narrowest, against the square of how full a device becomes. */
const crossingWeight = 0.1;

/**
 * One run for each device, in their order, so that the bytes of each are about its share; cut where the program is narrow.
 * A device may get none. The fullest device, against its share, is as empty as can be, within the tolerance; then cuts are
 * taken that are even and narrow.
 */
export function cutByShares(program: Pick<Program, 'ops'>, options: SharesOptions): Cut {
  const { ops } = program;
  const shares = options.shares.some((share) => share > 0)
    ? options.shares
    : options.shares.map(() => 1);
  const widths = liveValues(program).map(widthOf);
  const places = [0, ...necksOf(widths), ops.length];
  const before = [0];
  for (const op of ops) before.push(before.at(-1)! + options.bytesOf(op));
  /** How full the device becomes with the ops from one place to another. */
  const load = (device: number, begin: number, end: number): number => {
    const bytes = before[places[end]!]! - before[places[begin]!]!;
    return bytes === 0 ? 0 : bytes / shares[device]!;
  };
  const lowest = bestPlaces(
    { devices: shares.length, places: places.length },
    (device, begin, end) => load(device, begin, end),
    Math.max,
  );
  const most = lowest.cost * (1 + tolerance);
  const narrowest = Math.min(...places.slice(1, -1).map((place) => widths[place]!)) || 1;
  const { ends } = bestPlaces(
    { devices: shares.length, places: places.length },
    (device, begin, end) => {
      const own = load(device, begin, end);
      if (own > most) return Infinity;
      const isCut = begin > 0 && begin < end;
      const crossing = isCut ? widths[places[begin]!]! / narrowest : 0;
      return crossingWeight * crossing + (most === 0 ? 0 : (own / most) ** 2);
    },
    (a, b) => a + b,
  );
  let device = 0;
  return ops.map((_, at) => {
    while (at >= places[ends[device]!]!) device++;
    return device;
  });
}

/** Ends of runs, one for each device, with the lowest cost altogether. */
function bestPlaces(
  { devices, places }: { readonly devices: number; readonly places: number },
  costOf: (device: number, begin: number, end: number) => number,
  add: (a: number, b: number) => number,
): { readonly cost: number; readonly ends: readonly number[] } {
  /** Of the runs so far, by where the last one ends; the first run begins at 0. */
  let costs = Array.from({ length: places }, (_, end) => (end === 0 ? 0 : Infinity));
  const begins: number[][] = [];
  for (let device = 0; device < devices; device++) {
    const next = costs.map(() => Infinity);
    const chosen = costs.map(() => 0);
    for (let end = 0; end < places; end++) {
      for (let begin = 0; begin <= end; begin++) {
        if (costs[begin] === Infinity) continue;
        const cost = add(costs[begin]!, costOf(device, begin, end));
        if (cost < next[end]!) [next[end], chosen[end]] = [cost, begin];
      }
    }
    begins.push(chosen);
    costs = next;
  }
  const ends: number[] = [];
  for (let device = devices - 1, end = places - 1; device >= 0; device--) {
    ends.unshift(end);
    end = begins[device]![end]!;
  }
  return { cost: costs.at(-1)!, ends };
}

export interface HomesOptions {
  readonly devices: number;
  /** Bytes that the device would have to be given for the op; Infinity where it cannot do it. */
  readonly costOf: (op: Program['ops'][number], device: number) => number;
}

/** A cut is worth this many bytes for a number that crosses in each step. */
const bytesForCrossing = 256;

/** Follows what lies on the devices already: as few bytes as possible are brought there, with few cuts. */
export function cutByHomes(program: Pick<Program, 'ops'>, { devices, costOf }: HomesOptions): Cut {
  const widths = liveValues(program).map(widthOf);
  const each = Array.from({ length: devices }, (_, device) => device);
  let costs = each.map(() => 0);
  const earlier: number[][] = [];
  for (const [at, op] of program.ops.entries()) {
    const crossing = at === 0 ? 0 : bytesForCrossing * (1 + widths[at]!);
    const from = each.map((device) => {
      const ways = costs.map((cost, other) => cost + (other === device ? 0 : crossing));
      // To stay is better than to come from another at the same cost.
      const least = Math.min(...ways);
      return ways[device] === least ? device : ways.indexOf(least);
    });
    const own = costs;
    costs = each.map((device) => {
      const before = from[device]!;
      return own[before]! + (before === device ? 0 : crossing) + costOf(op, device);
    });
    earlier.push(from);
  }
  const cut: number[] = [];
  let device = costs.indexOf(Math.min(...costs));
  for (let at = program.ops.length - 1; at >= 0; at--) {
    cut.unshift(device);
    device = earlier[at]![device]!;
  }
  return cut;
}
