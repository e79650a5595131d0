/** Opens a model, finds its vocabulary and a device, uploads and compiles. */
import { RwkvError } from '@rwkv-ts/backend';
import { type Model, loadModel, stateBytesOf } from '@rwkv-ts/generate';
import type { RwkvConfig } from '@rwkv-ts/model';
import { type ModelFile, openModel } from '@rwkv-ts/weights';
import type { LoadRequest, Mode, ModelInfo } from '../protocol/messages.js';
import type { Tell } from '../protocol/server.js';
import { openBackend, type OpenedBackend } from './backend.js';
import { type CacheAnswer, type NamedSource, openSource, shielded } from './open-source.js';
import { sparingly } from './sparingly.js';
import { tokenizerOf } from './vocabulary.js';

/** Conversations that write at the same time. */
const slots = 4;

export interface LoadedModel {
  readonly model: Model;
  readonly info: ModelInfo;
  readonly heads: number | undefined;
  readonly lost?: Promise<string>;
}

export interface LoadContext {
  readonly cacheAnswer: CacheAnswer;
  readonly signal: AbortSignal;
  readonly tell: Tell;
}

/** @throws HubError, WeightsError, ModelError, TokenizerError, BackendError, GenerateError */
export async function load(
  { source, vocabulary }: LoadRequest,
  { cacheAnswer, signal, tell }: LoadContext,
): Promise<LoadedModel> {
  const onProgress = sparingly((progress) => {
    tell('progress', progress);
  });
  onProgress({ phase: 'start', done: 0, total: 0 });
  const cache = 'cache' in cacheAnswer ? cacheAnswer.cache : undefined;
  if (cache === undefined && 'why' in cacheAnswer && source.kind === 'reference') {
    tell('notice', { message: `The model will not be kept for next time: ${cacheAnswer.why}.` });
  }
  const named = await openSource(source, { cache, signal, onProgress, tell });
  let opened: OpenedBackend | undefined;
  try {
    onProgress({ phase: 'open', done: 0, total: 0 });
    const { config, worldTokens } = await headersOf(named, signal);
    const network = source.kind === 'reference' && source.offline === true ? { offline: true } : {};
    const tokenizer = await tokenizerOf(
      { config, ...(worldTokens && { worldTokens }) },
      { file: vocabulary, cache, network: { ...network, signal } },
    );
    // What is left when all shaders are made: nobody says how long that takes.
    let phase: 'compile' | 'finish' = 'compile';
    opened = await openBackend((done, total) => {
      if (done === total) phase = 'finish';
      onProgress(phase === 'finish' ? { phase, done: 0, total: 0 } : { phase, done, total });
    });
    const { backend } = opened;
    const model = await loadModel(named.bytes, {
      backend,
      ownBackend: true,
      tokenizer,
      slots,
      signal,
      onProgress: (progress) => {
        onProgress(progress.phase === 'compile' ? { phase, done: 0, total: 0 } : progress);
      },
    });
    const heads = config.version === '4' ? undefined : config.heads;
    const { lost } = opened;
    return { model, heads, info: infoOf({ model, config, named, opened }), ...(lost && { lost }) };
  } catch (error) {
    await named.bytes[Symbol.asyncDispose]();
    if (signal.aborted && !RwkvError.isInstance(error)) throw stopped(error);
    throw error;
  }
}

function stopped(cause: unknown): RwkvError {
  return new RwkvError({ code: 'ABORTED', message: 'Loading was stopped', cause });
}

/** What the headers say, before anything is uploaded; the source stays open. */
async function headersOf(
  { bytes }: NamedSource,
  signal: AbortSignal,
): Promise<Pick<ModelFile, 'config' | 'worldTokens'>> {
  const siblings =
    'openSibling' in bytes ? { siblings: (name: string) => bytes.openSibling(name) } : {};
  await using file = await openModel(shielded(bytes), { ...siblings, signal });
  const { config, worldTokens } = file;
  return { config, ...(worldTokens && { worldTokens }) };
}

function infoOf({
  model,
  config,
  named,
  opened,
}: {
  model: Model;
  config: RwkvConfig;
  named: NamedSource;
  opened: OpenedBackend;
}): ModelInfo {
  const tokenizer = model.tokenizer?.name ?? 'none';
  // World models are trained to talk; bytes and 20B ones are base models, which go on with any text.
  const suggestedMode: Mode = tokenizer === 'world' ? 'chat' : 'text';
  const bytesOnly = tokenizer === 'bytes';
  return {
    name: named.name,
    version: config.version,
    layers: config.layers,
    channels: config.channels,
    vocabularySize: config.vocabularySize,
    tokenizer,
    fingerprint: model.fingerprint,
    stateBytes: stateBytesOf(model.languageModel.stateSpecs),
    deviceBytes: opened.backend.bytes,
    backend: opened.name,
    ...(opened.slowBecause === undefined ? {} : { slowBecause: opened.slowBecause }),
    slots,
    suggestedMode,
    presets: {
      chat: bytesOnly ? 'bytes' : 'rwkv-chat',
      text: bytesOnly ? 'bytes' : 'pipeline',
    },
    notes: model.notes,
  };
}
