/** From what the person chose to the bytes of a model. */
import {
  HubError,
  type ModelCache,
  type ResolvedModel,
  createModelCache,
  resolveModel,
} from '@rwkv-ts/hub';
import { demoModel } from '@rwkv-ts/demo-model';
import { type ByteSource, blobSource, memorySource } from '@rwkv-ts/weights';
import type { LoadProgress, ModelSource } from '../protocol/messages.js';
import type { Tell } from '../protocol/server.js';
import { fetchBytes } from './vocabulary.js';

/** The cache, or why this browser has none. */
export type CacheAnswer = { readonly cache: ModelCache } | { readonly why: string };

export function openCache(): CacheAnswer {
  try {
    return { cache: createModelCache() };
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    return { why: error.message };
  }
}

export interface OpenSourceOptions {
  readonly cache: ModelCache | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly tell: Tell;
}

export interface NamedSource {
  readonly name: string;
  readonly bytes: ByteSource | ResolvedModel;
}

/** @throws HubError */
export async function openSource(
  source: ModelSource,
  { cache, signal, onProgress, tell }: OpenSourceOptions,
): Promise<NamedSource> {
  if (source.kind === 'file') {
    return { name: source.file.name, bytes: blobSource(source.file, { name: source.file.name }) };
  }
  if (source.kind === 'bundled') {
    const bytes = await fetchBytes(demoModel.url, signal);
    return { name: 'King James, 1M', bytes: memorySource(bytes, { name: demoModel.fileName }) };
  }
  const { reference, token, hubUrl, sha256, offline } = source;
  const bytes = await resolveModel(reference, {
    signal,
    ...(cache && { cache }),
    ...(token && { token }),
    ...(hubUrl && { hubUrl }),
    ...(sha256 && cache && { sha256 }),
    ...(offline !== undefined && { offline }),
    onProgress: ({ phase, done, total }) => {
      onProgress({ phase, done, total });
    },
    onNotice: ({ message }) => {
      tell('notice', { message });
    },
  });
  return { name: nameOf(reference), bytes };
}

/** The part of a reference that tells models apart. */
export function nameOf(reference: string): string {
  const withoutQuery = reference.split(/[?#]/)[0]!;
  const last = withoutQuery.split(/[/:]/).at(-1)!;
  return decodeURIComponent(last.replace(/@[^@]*$/, '')) || reference;
}

/** The same source, whose disposal is left to somebody else. */
export function shielded(source: ByteSource): ByteSource {
  return {
    name: source.name,
    size: source.size,
    read: (offset, length, options) => source.read(offset, length, options),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
