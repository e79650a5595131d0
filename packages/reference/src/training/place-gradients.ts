import type { TrainingLimits, Value } from '@rwkv-ts/backend';
import {
  type BackwardPlan,
  type Interval,
  placeIntervals,
  readsOf,
  writesOf,
} from '@rwkv-ts/program';
import type { Holding } from '../memory.js';
import { bytesPerNumber, type Numbers, type Precision, viewNumbers } from '../numbers.js';

/**
 * Memory for the gradients of values, [rows, width] each: a gradient lives from the step that first owes it to the one that
 * passes it on, so those of one layer lie where those of the layer above lay.
 */
export function placeGradients(
  plan: BackwardPlan,
  options: {
    readonly output: Value;
    readonly limits: TrainingLimits;
    readonly precision: Precision;
    readonly holding: Holding;
  },
): ReadonlyMap<number, Numbers> {
  const { output, limits, precision, holding } = options;
  const values = [...plan.gradients.values()];
  const lives = livesOf(plan, output);
  const countOf = ({ rows, width }: Value): number =>
    (rows === 'T' ? limits.tokens : limits.wanted) * width;
  const intervals = values.map((value): Interval => {
    const bytes = countOf(value) * bytesPerNumber[precision];
    return { bytes, ...(lives.get(value.id) ?? { first: 0, last: 0 }) };
  });
  const { offsets, bytes } = placeIntervals(intervals, { alignment: 64 });
  const buffer = holding.allocate(
    { bytes, what: 'Gradients of activations' },
    () => new ArrayBuffer(bytes),
  );
  return new Map(
    values.map((value, index) => {
      const place = { buffer, offset: offsets[index]!, count: countOf(value) };
      return [value.id, viewNumbers(precision, place)];
    }),
  );
}

/** Indices into the steps of the plan; the output's gradient is there before the first. */
function livesOf(
  { steps }: BackwardPlan,
  output: Value,
): ReadonlyMap<number, { first: number; last: number }> {
  const lives = new Map([[output.id, { first: 0, last: 0 }]]);
  for (const [index, { op, reads }] of steps.entries()) {
    for (const { id } of writesOf(op)) {
      const life = lives.get(id);
      if (life) life.last = index;
    }
    for (const [read, { id }] of readsOf(op).entries()) {
      if (reads[read] === 'assign') lives.set(id, { first: index, last: index });
    }
  }
  return lives;
}
