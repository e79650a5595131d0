/** From a reference to a model that generates: open, tokenizer, upload, compile. */
import type { Backend, HostWeight, Limits } from '@rwkv-ts/backend';
import { type ResolvedModel, type ResolveOptions, resolveModel } from '@rwkv-ts/hub';
import {
  type Tokenizer,
  assertTokenizerFits,
  byteTokenizer,
  tokenizerFor,
  worldTokenizerFromGguf,
} from '@rwkv-ts/tokenizer';
import {
  type ByteSource,
  type Fingerprint,
  type ModelFile,
  type OpenModelOptions,
  type Siblings,
  blobSource,
  createFingerprint,
  memorySource,
  openModel,
  openStateFile,
} from '@rwkv-ts/weights';
import { aborted, optionInvalid } from './errors.js';
import { Model } from './model.js';
import { createLanguageModel, type WeightCache } from './program-model.js';
import { missingTokenizer } from './prompt-start.js';
import { checkSchedulerOptions, schedulerOptions } from './scheduler.js';

/**
 * A path, URL or `owner/repository` (see `parseReference` of `@rwkv-ts/hub`), what `resolveModel` made of one, a file's
 * bytes, or where they come from.
 */
export type ModelSource = string | URL | Blob | Uint8Array | ByteSource | ResolvedModel;

export interface LoadProgress {
  /**
   * `open`: reading headers. `upload`: weights on their way to the backend, unless a cache has them. `compile`: preparing to
   * run.
   */
  readonly phase: 'open' | 'upload' | 'compile';
  /** Bytes of weights uploaded. */
  readonly done: number;
  /** Bytes of weights in all; 0 while opening. */
  readonly total: number;
}

export interface LoadModelOptions extends Pick<
  OpenModelOptions,
  'overrides' | 'adapters' | 'configJson' | 'layout'
> {
  /** Stays the caller's, and must outlive the model, unless `ownBackend`. */
  readonly backend: Backend;
  /** Disposes of the backend with the model, also when loading fails. */
  readonly ownBackend?: boolean;
  /**
   * `auto` (default): the one in the file (GGUF), or bytes for a vocabulary of 256. Other models have none unless it is
   * given, and then take and give token ids only.
   */
  readonly tokenizer?: Tokenizer | 'auto';
  /** A tuned state (`time_state`) to start texts from; disposed of. Default: the model file's own, if it has one. */
  readonly initialState?: ByteSource;
  /** Generations that run at the same time; default 8. */
  readonly slots?: number;
  /** Generations that may wait for a slot; default 1024. */
  readonly maximumQueued?: number;
  /** Most prompt tokens in a step in which others decode; default 128. */
  readonly prefillTokens?: number;
  /**
   * Of a step. Default: 256 tokens, `slots` sequences, and 32 wanted rows (or `slots`, where that is more), which bounds
   * what logits take: 4 V bytes a row.
   */
  readonly limits?: Partial<Limits>;
  /**
   * Where the weights may lie ready for the backend: then only the model file's configuration and tokenizer are read. The
   * cache must be of this very model, adapters and overrides included. Default none.
   */
  readonly weightCache?: WeightCache;
  /** How references are resolved: token, hub, cache. */
  readonly hub?: Omit<ResolveOptions, 'signal'>;
  readonly signal?: AbortSignal;
  /** An error it throws ends the loading. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

/**
 * Loads a model onto a backend. Weights stream through host memory one tensor at a time, or come from `weightCache`. The source, and the sources of
 * adapters, are disposed of when loading ends, well or badly; a failure leaves nothing on the backend.
 * @throws HubError, WeightsError, ModelError, TokenizerError, BackendError, GenerateError `OPTION_INVALID`, `ABORTED`
 */
export async function loadModel(source: ModelSource, options: LoadModelOptions): Promise<Model> {
  const { backend, ownBackend = false } = options;
  try {
    options.onProgress?.({ phase: 'open', done: 0, total: 0 });
    await using file = await openFile(source, options);
    return await loadOpened(file, options);
  } catch (error) {
    if (ownBackend) await backend[Symbol.asyncDispose]();
    throw error;
  } finally {
    for (const each of sourcesOf(source, options)) await each[Symbol.asyncDispose]();
  }
}

async function loadOpened(file: ModelFile, options: LoadModelOptions): Promise<Model> {
  const { backend, ownBackend = false, signal, onProgress } = options;
  const limits = limitsOf(options);
  const tokenizer = tokenizerOf(file, options.tokenizer ?? 'auto');
  const initial = await initialBlocks(file, options);
  const fingerprint = createFingerprint(file.config);
  const languageModel = await createLanguageModel({
    config: file.config,
    weights: observed(file, { fingerprint, options }),
    cache: options.weightCache,
    backend,
    limits,
    fingerprint: () => fingerprint.digest(),
  });
  const total = bytesOf(file);
  try {
    onProgress?.({ phase: 'compile', done: total, total });
  } catch (error) {
    await languageModel[Symbol.asyncDispose]();
    throw error;
  }
  const model = await Model.create({
    languageModel,
    tokenizer,
    initialBlocks: initial,
    config: file.config,
    notes: notesOf(file, tokenizer),
    ...schedulerOptions(options),
    owned: ownBackend ? [backend] : [],
  });
  if (signal?.aborted !== true) return model;
  await model[Symbol.asyncDispose]();
  throw aborted('Loading', signal);
}

async function openFile(source: ModelSource, options: LoadModelOptions): Promise<ModelFile> {
  const { overrides, adapters, configJson, layout, signal } = options;
  const { source: bytes, siblings } = await openSource(source, options);
  return openModel(bytes, { overrides, adapters, configJson, layout, signal, siblings });
}

async function openSource(
  source: ModelSource,
  { hub, signal }: LoadModelOptions,
): Promise<{ source: ByteSource; siblings?: Siblings }> {
  if (typeof source === 'string' || source instanceof URL) {
    return withSiblings(await resolveModel(source, { ...hub, ...(signal ? { signal } : {}) }));
  }
  if (source instanceof Uint8Array) return { source: memorySource(source, { name: 'model' }) };
  if (source instanceof Blob) return { source: blobSource(source) };
  return 'openSibling' in source ? withSiblings(source) : { source };
}

function withSiblings(source: ResolvedModel): { source: ByteSource; siblings: Siblings } {
  return { source, siblings: (name) => source.openSibling(name) };
}

/** Sources that were handed over, to be disposed of whatever happens; disposal is idempotent. */
function sourcesOf(source: ModelSource, options: LoadModelOptions): AsyncDisposable[] {
  const adapters = (options.adapters ?? []).flatMap((adapter) => [
    adapter.source,
    ...(adapter.initSource ? [adapter.initSource] : []),
  ]);
  const given = typeof source === 'object' && Symbol.asyncDispose in source ? [source] : [];
  return [...given, ...adapters, ...(options.initialState ? [options.initialState] : [])];
}

/** @throws GenerateError `OPTION_INVALID` */
function limitsOf(options: LoadModelOptions): Limits {
  const settings = schedulerOptions(options);
  checkSchedulerOptions(settings);
  const { slots } = settings;
  const { limits = {} } = options;
  const { tokens = 256, sequences = slots, wanted = Math.max(32, slots) } = limits;
  for (const [name, value] of Object.entries({ tokens, sequences, wanted })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw optionInvalid(`limits.${name}`, 'a positive integer', value);
  }
  return { tokens, sequences, wanted };
}

/** A tokenizer that does not fit is refused now, before gigabytes are uploaded. */
function tokenizerOf(file: ModelFile, choice: Tokenizer | 'auto'): Tokenizer | undefined {
  const { vocabularySize } = file.config;
  let tokenizer: Tokenizer | undefined;
  if (choice !== 'auto') tokenizer = choice;
  else if (file.worldTokens !== undefined) tokenizer = worldTokenizerFromGguf(file.worldTokens);
  else if (tokenizerFor(vocabularySize) === 'bytes') tokenizer = byteTokenizer();
  if (tokenizer !== undefined) assertTokenizerFits(tokenizer, vocabularySize);
  return tokenizer;
}

async function initialBlocks(
  file: ModelFile,
  { initialState, signal }: LoadModelOptions,
): Promise<ReadonlyMap<string, Float32Array> | undefined> {
  const readOptions = signal ? { signal } : {};
  if (initialState === undefined) return file.initialStates?.(readOptions);
  return openStateFile(initialState, { config: file.config, ...readOptions });
}

/** The weights on their way to the backend, seen by the fingerprint and the progress. */
async function* observed(
  file: ModelFile,
  { fingerprint, options }: { fingerprint: Fingerprint; options: LoadModelOptions },
): AsyncGenerator<HostWeight> {
  const { backend, signal, onProgress } = options;
  const total = bytesOf(file);
  onProgress?.({ phase: 'upload', done: 0, total });
  const weights = file.weights({
    claimed: backend.supports.weightFormats,
    ...(signal ? { signal } : {}),
    onProgress: ({ bytes }) => {
      onProgress?.({ phase: 'upload', done: bytes, total });
    },
  });
  for await (const weight of weights) {
    fingerprint.add(weight);
    yield weight;
  }
}

function bytesOf(file: ModelFile): number {
  return file.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function notesOf(file: ModelFile, tokenizer: Tokenizer | undefined): readonly string[] {
  if (tokenizer !== undefined) return file.notes;
  return [...file.notes, missingTokenizer(file.config.vocabularySize)];
}
