/** `--packed-cache`: weights as the backend computes on them, in a file that later runs map instead of reading the model's. */
import { createHash } from 'node:crypto';
import { readdir, realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type Backend, RwkvError, type Weights } from '@rwkv-ts/backend';
import { addonInformation } from '@rwkv-ts/backend-cpu';
import type { CachedWeights, WeightCache } from '@rwkv-ts/generate';
import { packingBackend } from './backends.js';
import { describeFailure, isAbort } from './failure.js';
import { makeFolder } from './make-folder.js';
import type { Terminal } from './terminal.js';

/** What the weights are made of. */
export interface PackedSource {
  /** The path of its file; none where it is not on this machine. */
  readonly model?: string;
  /** Paths of the files it consists of besides, where they do not lie beside it. */
  readonly parts?: readonly string[];
  /** As `--adapter` and `--override` have them. */
  readonly adapters: readonly string[];
  readonly overrides: Readonly<Record<string, number | string>>;
}

export interface PackedCacheOptions {
  readonly backend: Backend;
  readonly folder: string;
  readonly source: PackedSource;
  readonly terminal: Pick<Terminal, 'signal' | 'warn'>;
  /** Bytes of each weight in the model's file, by name: kept in the packed file and put in here from it. */
  readonly weightBytes: Map<string, number>;
}

/** Where this system keeps what may be deleted at any time. */
export function defaultPackedFolder(
  platform: string = process.platform,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const moved = environment['RWKV_TS_CACHE'] ?? '';
  if (moved !== '') return resolve(moved, 'packed');
  const home = homedir();
  const caches =
    platform === 'win32'
      ? (environment['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local'))
      : platform === 'darwin'
        ? join(home, 'Library', 'Caches')
        : (absolute(environment['XDG_CACHE_HOME']) ?? join(home, '.cache'));
  return join(caches, 'rwkv-ts', 'packed');
}

/** Relative paths in the variable are to be ignored. */
function absolute(path: string | undefined): string | undefined {
  return path?.startsWith('/') === true ? path : undefined;
}

/** Undefined, after a warning, where there is nothing to keep; silently where there is no model either. */
export async function packedCache(options: PackedCacheOptions): Promise<WeightCache | undefined> {
  const { backend, folder, source, terminal, weightBytes } = options;
  const packing = packingBackend(backend);
  if (!packing) {
    terminal.warn(`${backend.name} packs no weights, so there is nothing to keep.`);
    return undefined;
  }
  const { model } = source;
  if (model === undefined) {
    terminal.warn('packed weights are kept of files on this machine only; this model is not one.');
    return undefined;
  }
  const key = await keyOf(model, source);
  if (key === undefined) return undefined;
  const path = join(folder, `${key}.packed`);
  const reason = (error: unknown) => describeFailure(error).line ?? String(error);
  return {
    open: async () => {
      try {
        const opened = await packing.openPacked(path);
        return await adopt(opened, weightBytes);
      } catch (error) {
        if (isMissing(error)) return undefined;
        if (RwkvError.isInstance(error) && error.code !== 'WEIGHT_INVALID') throw error;
        terminal.warn(`${path} is not used, and written anew: ${reason(error)}`);
        return undefined;
      }
    },
    save: async ({ weights, fingerprint }) => {
      const metadata = {
        fingerprint,
        weightBytes: JSON.stringify(Object.fromEntries(weightBytes)),
      };
      try {
        await makeFolder(folder);
        await packing.writePacked(weights, path, { metadata, signal: terminal.signal });
      } catch (error) {
        if (isAbort(error)) throw error;
        terminal.warn(`the packed weights are not kept: ${reason(error)}`);
      }
    },
  };
}

/** Throws, with nothing left behind, for a file that something else wrote. */
async function adopt(
  { weights, metadata }: { weights: Weights; metadata: Readonly<Record<string, string>> },
  weightBytes: Map<string, number>,
): Promise<CachedWeights> {
  try {
    const { fingerprint = '', weightBytes: sizes = '' } = metadata;
    if (!/^[0-9a-f]{64}$/.test(fingerprint)) throw new Error('it has no fingerprint of a model');
    const entries = Object.entries(JSON.parse(sizes) as Record<string, unknown>);
    for (const [name, bytes] of entries) weightBytes.set(name, Number(bytes));
    return { weights, fingerprint };
  } catch (error) {
    await weights[Symbol.asyncDispose]();
    throw error;
  }
}

/** Also where the folder is a file, which saving then tells. */
function isMissing(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'ENOENT' || error.code === 'ENOTDIR';
}

/** Another one whenever the weights or their layout could be others; undefined where there is no model file. */
async function keyOf(model: string, source: PackedSource): Promise<string | undefined> {
  const file = await factsOf(model);
  if (file === undefined) return undefined;
  const { version, packedVersion } = addonInformation();
  const parts = {
    version,
    packedVersion,
    file,
    beside: await besides(model),
    parts: await Promise.all((source.parts ?? []).map(factsOf)),
    adapters: await Promise.all(
      source.adapters.map(async (text) => [text, ...(await filesOfAdapter(text))]),
    ),
    overrides: Object.entries(source.overrides).sort(([a], [b]) => (a < b ? -1 : 1)),
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Files that belong to a model without being named: its configuration, and the shards of an index. */
async function besides(model: string): Promise<unknown[]> {
  const folder = dirname(model);
  const isIndex = /\.json$/i.test(model);
  const names = isIndex
    ? (await readdir(folder)).filter((name) => /\.safetensors$/i.test(name))
    : [];
  return Promise.all(['config.json', ...names.sort()].map((name) => factsOf(join(folder, name))));
}

/** FILE[,alpha=N][,init=FILE] */
function filesOfAdapter(text: string): Promise<unknown[]> {
  const [path = '', ...settings] = text.split(',');
  const initial = settings.filter((each) => each.startsWith('init=')).map((each) => each.slice(5));
  return Promise.all([path, ...initial].map(factsOf));
}

/** Undefined where there is no such file, which the loader tells better. */
async function factsOf(path: string): Promise<readonly string[] | undefined> {
  try {
    const facts = await stat(path, { bigint: true });
    if (!facts.isFile()) return undefined;
    return [await realpath(path), String(facts.size), String(facts.mtimeNs)];
  } catch {
    return undefined;
  }
}
