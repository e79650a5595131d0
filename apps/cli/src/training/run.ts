/** What the three training commands have in common: from settings and a model to a run in its folder. */
import type { Backend } from '@rwkv-ts/backend';
import type { Tokenizer } from '@rwkv-ts/tokenizer';
import {
  type Checkpoint,
  createTrainer,
  openCheckpoint,
  type RunReport,
  type StepReport,
  type Trainer,
  type TrainerOptions,
  type TrainingMode,
} from '@rwkv-ts/train';
import type { WritableModel } from '@rwkv-ts/weights';
import { fileSink } from '@rwkv-ts/weights/node';
import { exitCodes } from '../exit-codes.js';
import { ExitError, UsageError } from '../failure.js';
import { backendSettingsOf } from '../model-options.js';
import type { Terminal } from '../terminal.js';
import { openTokenizer } from '../tokenizers.js';
import { readConfigFile } from './config-file.js';
import { LiveProgress } from './live-progress.js';
import { RunFolder } from './run-folder.js';
import { sampleTexts } from './sample-texts.js';
import {
  givenFlags,
  mergeSettings,
  parseSettings,
  requireSameRun,
  type Settings,
  type TrainingCommand,
} from './settings.js';
import { createTrainingBackend } from './training-backend.js';
import { openTrainingData, type TrainingData } from './training-data.js';

export interface TrainingModel extends AsyncDisposable {
  readonly model: WritableModel;
  /** Shown to people. */
  readonly name: string;
}

export interface TrainingRequest {
  readonly command: TrainingCommand;
  /** Of the command line. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly configFile: string | undefined;
  readonly terminal: Terminal;
  openModel(settings: Settings, context: { readonly tokenizer: Tokenizer }): Promise<TrainingModel>;
  modeOf(settings: Settings, opened: TrainingModel): Promise<TrainingMode>;
}

interface Run {
  readonly settings: Settings;
  readonly folder: RunFolder;
  readonly tokenizer: Tokenizer;
  readonly backend: Backend;
  readonly data: TrainingData;
  readonly terminal: Terminal;
  readonly progress: LiveProgress;
  readonly title: string;
}

/** @throws ExitError 130 after an interruption, whose checkpoint is written */
export async function runTraining(request: TrainingRequest): Promise<void> {
  const { terminal, options } = request;
  const isResumed = options['resume'] === true;
  const settled = await settle(request, isResumed);
  const { settings } = settled;
  await using folder = settled.folder;
  if (settings.tokenizer === undefined)
    throw new UsageError('--tokenizer is missing: the one that the token files were made with.');
  const tokenizer = await openTokenizer(settings.tokenizer);
  await using opened = await request.openModel(settings, { tokenizer });
  const mode = await request.modeOf(settings, opened);
  const { vocabularySize } = opened.model.config;
  await using data = await openTrainingData(settings, vocabularySize);
  await using backend = await createTrainingBackend(settings.backend, {
    settings: backendSettingsOf(settings),
    warn: (text) => {
      terminal.warn(text);
    },
  });
  await using checkpoint = isResumed ? await newest(folder, terminal) : undefined;
  const title = `${opened.name}, ${describeData(settings)}`;
  using progress = new LiveProgress(terminal);
  const run = { settings, folder, tokenizer, backend, data, terminal, progress, title };
  await using trainer = await createTrainer({
    ...trainerOptions(run, () => trainer),
    model: opened.model,
    mode,
    data: data.open(checkpoint?.position),
    resume: checkpoint,
  });
  await folder.begin(settings, {
    command: request.command,
    ...(isResumed ? { resumedAt: trainer.step } : {}),
  });
  await folder.log({
    type: 'begin',
    step: trainer.step,
    backend: backend.name,
    model: opened.name,
  });
  const report = await trainer.run();
  await finish({ run, trainer, report, json: options['json'] === true });
}

/** Settings from every side, and the run's folder. */
async function settle(
  { command, options, configFile }: TrainingRequest,
  isResumed: boolean,
): Promise<{ settings: Settings; folder: RunFolder }> {
  const flags = givenFlags(options);
  const file =
    configFile === undefined
      ? {}
      : parseSettings(await readConfigFile(configFile), { file: configFile, command });
  const output = flags.output ?? file.output;
  if (output === undefined) throw new UsageError("--output is missing: the run's folder.");
  const folder = new RunFolder(output);
  const before = isResumed ? await folder.readSettings(command) : {};
  requireSameRun(before, { ...file, ...flags });
  return { settings: mergeSettings([before, file, flags], command), folder };
}

/** An interrupted run may have ended before its first checkpoint. */
async function newest(folder: RunFolder, terminal: Terminal): Promise<Checkpoint | undefined> {
  const steps = await folder.checkpoints.list();
  if (steps.length === 0) {
    terminal.warn(`${folder.path} has no checkpoint yet; the run begins anew.`);
    return undefined;
  }
  return openCheckpoint(folder.checkpoints);
}

function describeData({ sequences, context, data }: Settings): string {
  return `${data ?? ''}, ${sequences} × ${context} tokens an update`;
}

function trainerOptions(
  run: Run,
  trainer: () => Trainer,
): Omit<TrainerOptions, 'model' | 'mode' | 'data' | 'resume'> {
  const { settings, folder, tokenizer, backend, data, terminal, progress } = run;
  return {
    backend,
    steps: settings.steps,
    batch: {
      sequences: settings.sequences,
      context: settings.context,
      sequencesAtOnce: settings.sequencesAtOnce,
      chunk: settings.chunk,
      gradientsThroughCuts: settings.stopGradientsAtCuts !== true,
    },
    optimizer: {
      learningRate: {
        peak: settings.learningRate,
        final: settings.finalLearningRate,
        warmupSteps: settings.warmupSteps,
        decay: settings.schedule,
      },
      betas: [settings.beta1, settings.beta2],
      epsilon: settings.epsilon,
      weightDecay: settings.weightDecay,
      gradientNormLimit: settings.gradientNormLimit,
    },
    validation: data.validation,
    evaluateEvery: settings.evaluateEvery,
    checkpointEvery: settings.checkpointEvery,
    keepCheckpoints: settings.keepCheckpoints,
    checkpoints: folder.checkpoints,
    tokenBytes: byteCounter(tokenizer),
    signal: terminal.signal,
    onStep: async (report) => {
      await tellStep(run, report);
      const { sampleEvery } = settings;
      if (sampleEvery !== undefined && report.step % sampleEvery === 0)
        await tellSamples(run, trainer());
    },
    onEvaluation: async (evaluation) => {
      await folder.log({ type: 'evaluation', ...evaluation });
      const { step, loss, bitsPerByte } = evaluation;
      progress.line(`${step}/${settings.steps}  held out: ${lossText({ loss, bitsPerByte })}`);
      await folder.drawLoss(run.title);
    },
    onCheckpoint: async (checkpoint) => {
      await folder.log({ type: 'checkpoint', ...checkpoint });
      await folder.drawLoss(run.title);
    },
  };
}

/** Padding of the vocabulary has no bytes; looked up once for each token. */
function byteCounter(tokenizer: Tokenizer): (token: number) => number {
  const known = new Map<number, number>();
  return (token) => {
    let bytes = known.get(token);
    if (bytes === undefined) {
      try {
        bytes = tokenizer.tokenBytes(token).length;
      } catch {
        bytes = 0;
      }
      known.set(token, bytes);
    }
    return bytes;
  };
}

function lossText({
  loss,
  bitsPerByte,
}: {
  loss: number;
  bitsPerByte?: number | undefined;
}): string {
  const bits = bitsPerByte === undefined ? '' : `, ${bitsPerByte.toFixed(4)} bits per byte`;
  return `loss ${loss.toFixed(4)}${bits}`;
}

async function tellStep({ folder, progress }: Run, report: StepReport): Promise<void> {
  progress.show(report);
  await folder.log({ type: 'step', ...report });
  if (!report.applied)
    progress.line(
      `${report.step}/${report.steps}  gradients were not finite: the update was skipped.`,
    );
}

async function tellSamples(run: Run, trainer: Trainer): Promise<void> {
  const { settings, backend, tokenizer, terminal, folder, progress } = run;
  const { step } = trainer;
  const texts = await sampleTexts(trainer, {
    backend,
    tokenizer,
    prompts: settings.samplePrompt,
    tokens: settings.sampleTokens,
    seed: settings.seed,
    signal: terminal.signal,
  });
  for (const { prompt, text } of texts) {
    await folder.log({ type: 'sample', step, prompt, text });
    progress.line(`${step}/${settings.steps}  ${(prompt + text).trim()}`);
  }
}

async function finish({
  run,
  trainer,
  report,
  json,
}: {
  readonly run: Run;
  readonly trainer: Trainer;
  readonly report: RunReport;
  readonly json: boolean;
}): Promise<void> {
  const { folder, terminal, progress, title } = run;
  await folder.log({ type: 'end', ...report });
  await folder.drawLoss(title);
  progress[Symbol.dispose]();
  if (report.outcome === 'aborted') {
    terminal.note(`interrupted at update ${report.step}; --resume goes on from there.`);
    throw new ExitError(exitCodes.interrupted);
  }
  const { learned } = trainer;
  const file = folder.file(learned.name);
  await using sink = await fileSink(file);
  await learned.write(sink);
  if (json) {
    await terminal.json({ file, ...report });
    return;
  }
  const { evaluation, loss, step, tokensTotal } = report;
  const held = evaluation === undefined ? '' : `, held out: ${lossText(evaluation)}`;
  const last = loss === undefined ? '' : `, loss ${loss.toFixed(4)}`;
  await terminal.line(`${file}: ${step} updates, ${tokensTotal} tokens${last}${held}`);
}
