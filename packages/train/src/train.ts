import { openCheckpoint } from './checkpoint/read-checkpoint.js';
import { createTrainer } from './trainer/trainer.js';
import type { TrainerOptions } from './trainer/options.js';
import type { RunReport } from './trainer/reports.js';
import type { SampleStream } from './trainer/samples.js';

export interface TrainOptions extends Omit<TrainerOptions, 'data' | 'resume'> {
  /** Opens the stream of samples: from its beginning, or where `position`, the stream's own, says. */
  readonly data: (position: unknown) => SampleStream | Promise<SampleStream>;
  /** Goes on from the newest of `checkpoints`, where there is one. Default false. */
  readonly resume?: boolean | undefined;
}

/**
 * Trains a model from beginning to end: `createTrainer`, `run`, and everything given back. What was learned is in the
 * last of `checkpoints`; to do something else with it, make the trainer yourself.
 * @throws what `createTrainer` and `Trainer.run` throw
 */
export async function train({
  data,
  resume = false,
  ...options
}: TrainOptions): Promise<RunReport> {
  const { checkpoints } = options;
  const isThere = resume && checkpoints !== undefined && (await checkpoints.list()).length > 0;
  await using checkpoint = isThere ? await openCheckpoint(checkpoints) : undefined;
  const stream = await data(checkpoint?.position);
  await using trainer = await createTrainer({ ...options, data: stream, resume: checkpoint });
  return await trainer.run();
}
