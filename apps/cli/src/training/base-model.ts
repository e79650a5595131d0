import { openModel } from '@rwkv-ts/weights';
import { UsageError } from '../failure.js';
import { type CacheOptions, openReference } from '../remote-models.js';
import type { Terminal } from '../terminal.js';
import type { TrainingModel } from './run.js';
import type { Settings } from './settings.js';

/** The model of `--model`, which a training reads again when it merges: it stays open until the end. */
export async function openBaseModel(
  { model: reference }: Settings,
  { options, terminal }: { readonly options: CacheOptions; readonly terminal: Terminal },
): Promise<TrainingModel> {
  if (reference === undefined) throw new UsageError('--model is missing: what to start from.');
  const source = await openReference(reference, options, terminal);
  try {
    const model = await openModel(source, {
      signal: terminal.signal,
      siblings: (name) => source.openSibling(name),
    });
    for (const note of model.notes) terminal.note(note);
    return {
      model,
      name: `${model.name}, RWKV-${model.config.version}`,
      async [Symbol.asyncDispose]() {
        await model[Symbol.asyncDispose]();
        await source[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await source[Symbol.asyncDispose]();
    throw error;
  }
}
