/** The options that every command with a model shares, and opening the model by them. */
import { fileURLToPath } from 'node:url';
import type { Backend, HostWeight } from '@rwkv-ts/backend';
import { demoModel } from '@rwkv-ts/demo-model';
import { type LoadModelOptions, loadModel, type Model, type WeightCache } from '@rwkv-ts/generate';
import type { ResolvedModel } from '@rwkv-ts/hub';
import { fileSource } from '@rwkv-ts/weights/node';
import { type Command, Option } from 'commander';
import { parseAdapter } from './adapters.js';
import { type BackendSettings, createBackend } from './backends.js';
import { collect, collectOverride, deviceList, folderName, integer } from './option-values.js';
import {
  defaultPackedFolder,
  packedCache,
  type PackedCacheOptions,
  type PackedSource,
} from './packed-cache.js';
import { addCacheOptions, type CacheOptions, openReference } from './remote-models.js';
import type { Terminal } from './terminal.js';
import { openTokenizer } from './tokenizers.js';

export interface ModelOptions extends BackendSettings, CacheOptions {
  readonly model?: string;
  readonly tokenizer?: string;
  readonly backend: string;
  readonly override?: Readonly<Record<string, number | string>>;
  readonly adapter?: readonly string[];
  readonly initialState?: string;
  readonly packedCache?: boolean;
  readonly packedFolder?: string;
}

/** What `--model` stands for when it is not given. */
export const demoModelName = 'the bundled demonstration model';

/** `--threads`, `--instructions` and `--device`, wherever a backend is chosen. */
export function addBackendSettings(command: Command): Command {
  return command
    .option(
      '--threads <n>',
      'threads that compute (default: one for each core)',
      integer({ minimum: 1, maximum: 256 }),
    )
    .option(
      '--instructions <name>',
      'the instruction set that computes; `rwkv doctor` lists them (default: the best here)',
    )
    .option(
      '--device <n>',
      'the GPU that computes, as the NVIDIA driver counts them, or several with commas, over which the model is split (default: 0)',
      deviceList,
    );
}

/** Training names one device. */
type GivenSettings = Omit<BackendSettings, 'device'> & {
  readonly device?: number | readonly number[];
};

export function backendSettingsOf(given: GivenSettings): BackendSettings {
  const { threads, instructions, device } = given;
  return {
    ...(threads === undefined ? {} : { threads }),
    ...(instructions === undefined ? {} : { instructions }),
    ...(device === undefined ? {} : { device: [device].flat() }),
  };
}

export function addModelOptions(command: Command): Command {
  command
    .option(
      '-m, --model <reference>',
      `a file, URL or owner/repo[:file][@revision] (default: ${demoModelName})`,
    )
    .option(
      '--tokenizer <which>',
      'a FILE (rwkv_vocab_v20230424.txt or tokenizer.json), 20b or bytes (default: the one in the model file; bytes for 256 tokens)',
    )
    .option('--backend <name>', 'what computes; `rwkv doctor` lists them', 'auto');
  addCacheOptions(command);
  return addBackendSettings(command)
    .addOption(
      new Option(
        '--override <field=value>',
        'correct a field of the configuration, for example headNormEpsilon=1e-5; repeatable',
      ).argParser(collectOverride),
    )
    .option(
      '--adapter <file>',
      'merge a LoRA, PiSSA, DiSHA or Bone file at load; FILE[,alpha=N][,init=FILE]; repeatable',
      collect,
    )
    .option('--initial-state <file>', 'start from a tuned state (time_state)')
    .option(
      '--packed-cache',
      'keep the weights of a model on this machine as the cpu backend packs them; later runs map that file and start at once',
    )
    .addOption(
      new Option(
        '--packed-folder <folder>',
        "keep them in this folder; without it --packed-cache takes rwkv-ts/packed among this user's caches",
      ).argParser(folderName),
    );
}

export interface OpenedModel extends AsyncDisposable {
  readonly model: Model;
  readonly backend: Backend;
  /** Bytes of each weight as the backend got it, by name. */
  readonly weightBytes: ReadonlyMap<string, number>;
  /** Shown to people. */
  readonly name: string;
}

/** Loads the model with a progress bar; the model and its backend are disposed of together. */
export async function openModelFor(
  options: ModelOptions,
  terminal: Terminal,
  loading: Pick<LoadModelOptions, 'slots' | 'limits'> = {},
): Promise<OpenedModel> {
  // Backend and small inputs first, so that a typo is told before a large model has been read.
  const backend = await createBackend(options.backend, {
    settings: backendSettingsOf(options),
    warn: (text) => {
      terminal.warn(text);
    },
  });
  try {
    return await openModelOn(backend, options, { terminal, loading });
  } catch (error) {
    await backend[Symbol.asyncDispose]();
    throw error;
  }
}

async function openModelOn(
  backend: Backend,
  options: ModelOptions,
  {
    terminal,
    loading,
  }: { terminal: Terminal; loading: Pick<LoadModelOptions, 'slots' | 'limits'> },
): Promise<OpenedModel> {
  const tokenizer =
    options.tokenizer === undefined ? undefined : await openTokenizer(options.tokenizer);
  const adapters = await Promise.all((options.adapter ?? []).map(parseAdapter));
  const initialState =
    options.initialState === undefined ? undefined : await fileSource(options.initialState);
  const name = options.model ?? demoModelName;
  const weightBytes = new Map<string, number>();
  const source =
    options.model === undefined
      ? demoModel.url
      : await openReference(options.model, options, terminal);
  const weightCache = await weightCacheOf(source, { backend, options, terminal, weightBytes });
  using progress = terminal.progress('Loading');
  const model = await loadModel(source, {
    ...loading,
    backend: watchUpload(backend, ({ name: weight, bytes }) => {
      weightBytes.set(weight, bytes.length);
    }),
    signal: terminal.signal,
    onProgress: ({ done, total }) => {
      progress.update(done, total);
    },
    ...(weightCache ? { weightCache } : {}),
    ...(tokenizer ? { tokenizer } : {}),
    ...(options.override ? { overrides: options.override } : {}),
    ...(adapters.length > 0 ? { adapters } : {}),
    ...(initialState ? { initialState } : {}),
  });
  return {
    model,
    backend,
    weightBytes,
    name,
    async [Symbol.asyncDispose]() {
      await model[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

/** Where `--packed-cache` keeps the weights, if it is given. Closes the model when it fails. */
async function weightCacheOf(
  source: ResolvedModel | URL,
  {
    options,
    ...rest
  }: { options: ModelOptions } & Pick<PackedCacheOptions, 'backend' | 'terminal' | 'weightBytes'>,
): Promise<WeightCache | undefined> {
  if (options.packedCache !== true && options.packedFolder === undefined) return undefined;
  const { adapter: adapters = [], override: overrides = {} } = options;
  try {
    return await packedCache({
      ...rest,
      folder: options.packedFolder ?? defaultPackedFolder(),
      source: { ...filesOf(source), adapters, overrides },
    });
  } catch (error) {
    if (!(source instanceof URL)) await source[Symbol.asyncDispose]();
    throw error;
  }
}

/** The model's file on this machine, and what else it consists of there; nothing where it is read over the network. */
function filesOf(source: ResolvedModel | URL): Pick<PackedSource, 'model' | 'parts'> {
  if (source instanceof URL) return { model: fileURLToPath(source) };
  const [, ...others] = source.cached ?? [];
  const parts = others.map(({ path }) => path).filter((path) => path !== undefined);
  return source.path === undefined ? { parts } : { model: source.path, parts };
}

/** The same backend, which tells every weight before it takes it. */
function watchUpload(backend: Backend, tell: (weight: HostWeight) => void): Backend {
  async function* told(weights: AsyncIterable<HostWeight>): AsyncGenerator<HostWeight> {
    for await (const weight of weights) {
      tell(weight);
      yield weight;
    }
  }
  return {
    specificationVersion: backend.specificationVersion,
    name: backend.name,
    supports: backend.supports,
    get bytes() {
      return backend.bytes;
    },
    upload: (weights, options) => backend.upload(told(weights), options),
    createStates: (specs, slots) => backend.createStates(specs, slots),
    compile: (program, bindings, limits) => backend.compile(program, bindings, limits),
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}
