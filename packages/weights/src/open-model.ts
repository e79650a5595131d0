/** From bytes to a model: the container, its layout, its configuration, everything checked before any weight is read. */
import type { AdapterFiles, AdapterSpec } from './adapters/load-adapter.js';
import type { ByteSource } from './byte-source.js';
import { type InterpretOptions, type ModelFile, modelOfRawFile } from './model-file.js';
import { openRawFile } from './open-raw-file.js';
import type { RawFile } from './raw-file.js';

export interface OpenModelOptions extends InterpretOptions {
  /** The other shards of a model that comes in several files. */
  readonly siblings?: readonly ByteSource[];
  /** Merged into the weights as they stream, in this order. */
  readonly adapters?: readonly AdapterSpec[];
  readonly signal?: AbortSignal;
}

/**
 * Opens a model file of any container and layout. Only headers are read. Sources stay the caller's to dispose of, after
 * the model.
 * @throws WeightsError all codes but those of sinks and state files; ModelError `CONFIG_INVALID`
 */
export async function openModel(
  source: ByteSource,
  { siblings, adapters = [], signal, ...options }: OpenModelOptions = {},
): Promise<ModelFile> {
  const opened: RawFile[] = [];
  const open = async (from: ByteSource, others?: readonly ByteSource[]): Promise<RawFile> => {
    const file = await openRawFile(from, {
      ...(others ? { siblings: others } : {}),
      ...(signal ? { signal } : {}),
    });
    opened.push(file);
    return file;
  };
  try {
    const file = await open(source, siblings);
    const files: AdapterFiles[] = [];
    for (const spec of adapters) {
      files.push({
        file: await open(spec.source),
        alpha: spec.alpha,
        initFile: spec.initSource && (await open(spec.initSource)),
      });
    }
    return modelOfRawFile(file, { ...options, adapters: files });
  } catch (error) {
    for (const file of opened) await file[Symbol.asyncDispose]();
    throw error;
  }
}
