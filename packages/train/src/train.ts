import { openCheckpoint } from './checkpoint/read-checkpoint.js';
import { createTrainer } from './trainer/trainer.js';
import type { TrainerOptions } from './trainer/options.js';
import type { RunReport } from './trainer/reports.js';
import type { SampleStream } from './trainer/samples.js';

export interface TrainOptions<Position = unknown> extends Omit<TrainerOptions, 'data' | 'resume'> {
  /**
   * Opens the stream of samples: from its beginning, or where `position` says, which is what an earlier stream of the same
   * kind said of itself. It comes out of a file; the stream checks it.
   */
  readonly data: (position: Position | undefined) => SampleStream | Promise<SampleStream>;
  /** Goes on from the newest of `checkpoints`, where there is one. Default false. */
  readonly resume?: boolean | undefined;
}

/**
 * Trains a model from beginning to end: `createTrainer`, `run`, and everything given back. What was learned is in the
 * last of `checkpoints`; to do something else with it, make the trainer yourself.
 * @throws what `createTrainer` and `Trainer.run` throw
 */
export async function train<Position = unknown>({
  data,
  resume = false,
  ...options
}: TrainOptions<Position>): Promise<RunReport> {
  const { checkpoints } = options;
  const isThere = resume && checkpoints !== undefined && (await checkpoints.list()).length > 0;
  await using checkpoint = isThere ? await openCheckpoint(checkpoints) : undefined;
  const stream = await data(checkpoint?.position as Position | undefined);
  await using trainer = await createTrainer({ ...options, data: stream, resume: checkpoint });
  return await trainer.run();
}
