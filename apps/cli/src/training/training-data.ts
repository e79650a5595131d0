/** The token files of a run: what is learned, and what is held out. */
import { stat } from 'node:fs/promises';
import {
  createWindowStream,
  type EvaluationOptions,
  type SampleStream,
  type TokenData,
  type WindowPosition,
} from '@rwkv-ts/train';
import { openTokenFiles, tokenFilesPrefix } from '@rwkv-ts/train/node';
import { UsageError } from '../failure.js';
import type { Settings } from './settings.js';

export interface TrainingData extends AsyncDisposable {
  readonly data: TokenData;
  readonly heldOut: TokenData | undefined;
  open(position?: unknown): SampleStream;
  readonly validation: EvaluationOptions | undefined;
}

/** What `rwkv prepare --held-out` writes beside the rest. */
const heldOutEnding = '.held-out';

export async function openTrainingData(
  settings: Settings,
  vocabularySize: number,
): Promise<TrainingData> {
  if (settings.data === undefined)
    throw new UsageError('there is nothing to learn from: give --data PREFIX of `rwkv prepare`.');
  const prefix = tokenFilesPrefix(settings.data);
  const data = await openTokenFiles(prefix, { vocabularySize });
  let heldOut: TokenData | undefined;
  try {
    const beside = await stat(`${prefix}${heldOutEnding}.idx`).then(
      () => prefix + heldOutEnding,
      () => undefined,
    );
    const other = settings.validation ?? beside;
    heldOut = other === undefined ? undefined : await openTokenFiles(other, { vocabularySize });
    return trainingDataOf(settings, { data, heldOut });
  } catch (error) {
    await heldOut?.[Symbol.asyncDispose]();
    await data[Symbol.asyncDispose]();
    throw error;
  }
}

function trainingDataOf(
  settings: Settings,
  { data, heldOut }: { readonly data: TokenData; readonly heldOut: TokenData | undefined },
): TrainingData {
  const { context, seed, evaluationSamples } = settings;
  // Windows of masked data begin anywhere in a conversation; its documents are what is to be learned.
  const order = settings.order ?? (data.readMask ? 'documents' : 'permuted');
  const held = heldOut && heldOutStream(heldOut, context);
  return {
    data,
    heldOut,
    open: (position) =>
      createWindowStream(data, {
        order,
        context,
        seed,
        ...(position === undefined ? {} : { position: position as WindowPosition }),
      }),
    validation: held && {
      stream: held,
      samples: Math.min(evaluationSamples, held().windowsPerRound),
    },
    async [Symbol.asyncDispose]() {
      await heldOut?.[Symbol.asyncDispose]();
      await data[Symbol.asyncDispose]();
    },
  };
}

function heldOutStream(heldOut: TokenData, context: number) {
  const order = heldOut.readMask ? 'documents' : 'sequential';
  return () => createWindowStream(heldOut, { order, context });
}
