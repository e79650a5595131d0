/** From bytes to a model: the container, its layout, its configuration, everything checked before any weight is read. */
import type { AdapterFiles, AdapterSpec } from './adapters/load-adapter.js';
import type { ByteSource } from './byte-source.js';
import type { Siblings } from './containers/sharded.js';
import { type InterpretOptions, type ModelFile, modelOfRawFile } from './model-file.js';
import { openRawFile } from './open-raw-file.js';
import { type SiblingConfig, siblingConfig } from './sibling-config.js';

export interface OpenModelOptions extends InterpretOptions {
  /**
   * Opens a file beside this one by its name: for models in several files, whose index names the others, and for the
   * config.json of a Hugging Face model, unless `configJson` is given.
   */
  readonly siblings?: Siblings | undefined;
  /** Merged into the weights as they stream, in this order. */
  readonly adapters?: readonly AdapterSpec[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a model file of any container and layout. Only headers are read. The model takes over `source` and the adapters'
 * sources: disposing of it disposes of them, and so does a failure to open.
 * @throws WeightsError all codes but those of sinks and state files; ModelError `CONFIG_INVALID`
 */
export async function openModel(
  source: ByteSource,
  { siblings, adapters = [], signal, ...options }: OpenModelOptions = {},
): Promise<ModelFile> {
  const open = (from: ByteSource, others?: Siblings) =>
    openRawFile(from, { ...(others ? { siblings: others } : {}), ...(signal ? { signal } : {}) });
  const owned = new Set<AsyncDisposable>([source]);
  for (const spec of adapters) {
    owned.add(spec.source);
    if (spec.initSource) owned.add(spec.initSource);
  }
  try {
    const file = await open(source, siblings);
    owned.add(file);
    const beside: SiblingConfig = options.configJson
      ? { configJson: options.configJson }
      : await siblingConfig(file, { siblings, signal });
    const files: AdapterFiles[] = [];
    for (const spec of adapters) {
      const adapter = await open(spec.source);
      const initFile = spec.initSource && (await open(spec.initSource));
      files.push({ file: adapter, alpha: spec.alpha, initFile });
    }
    const model = modelOfRawFile(file, {
      ...options,
      configJson: beside.configJson,
      adapters: files,
    });
    return beside.note === undefined ? model : { ...model, notes: [...model.notes, beside.note] };
  } catch (error) {
    // Disposal is idempotent, so it does not matter which sources a file has already taken with it.
    for (const each of owned) await each[Symbol.asyncDispose]();
    throw error;
  }
}
