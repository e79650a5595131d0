/** Samples of a task without end, the same for the same seed. */
import { type RandomState, RandomStream, seedState } from '@rwkv-ts/sampler';
import type { Sample, SampleStream } from '@rwkv-ts/train';
import type { Task } from './tasks.js';

interface TaskPosition {
  readonly random: RandomState;
}

/** Each of `length` tokens. `position` is the generator's state behind a sample. */
export function taskStream(
  task: Task,
  { length, seed, position }: { length: number; seed: number; position?: TaskPosition },
): SampleStream {
  const random = new RandomStream(position?.random ?? seedState(BigInt(seed)));
  const behind = new WeakMap<Sample, RandomState>();
  return {
    async next() {
      const sample = task.sample(() => random.nextUniform(), length);
      behind.set(sample, random.state);
      return sample;
    },
    position: (sample): TaskPosition => ({
      random: (sample && behind.get(sample)) ?? random.state,
    }),
  };
}
