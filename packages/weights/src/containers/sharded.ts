/** `model.safetensors.index.json` and its like: which file of several holds which tensor. */
import type { ByteSource, ReadOptions } from '../byte-source.js';
import type { MetadataValue, RawFile, RawTensor } from '../raw-file.js';
import { invalid, shown, unknownContainer, unsupported } from './failures.js';
import { parseJson } from './json.js';
import type { JsonValue } from './json.js';
import { limits } from './limits.js';
import { addTensor } from './raw-file-of.js';
import { decodeText } from './text.js';

/** Opens a file that lies beside the one being opened. */
export type Siblings = (fileName: string) => Promise<ByteSource>;

export interface ShardedOptions extends ReadOptions {
  readonly siblings?: Siblings;
  /** Opens one shard, which takes over its source. */
  readonly open: (source: ByteSource) => Promise<RawFile>;
}

/** As large as the JSON header of a safetensors file may be. */
const longestIndex = limits.safetensorsHeaderBytes;

/**
 * All shards of an index as one file, which takes over `source` and the shards. Every tensor has to be where the index
 * says, and no shard may hold one that the index does not list.
 * @throws WeightsError `CONTAINER_INVALID`, `CONTAINER_UNKNOWN` (JSON that is no index), `CONTAINER_UNSUPPORTED` (no
 * `siblings`), and what opening a shard throws
 */
export async function openSharded(source: ByteSource, options: ShardedOptions): Promise<RawFile> {
  const file = source.name;
  const shardOf = await readIndex(source, options);
  const { siblings } = options;
  if (siblings === undefined) {
    throw unsupported(
      file,
      'it is the index of a sharded model, and its files cannot be found from here; pass `siblings`',
    );
  }
  const shards = new Map<string, RawFile>();
  const dispose = async () => {
    const closing = [...shards.values(), source].map((part) => part[Symbol.asyncDispose]());
    await Promise.all(closing);
  };
  try {
    for (const shard of new Set(shardOf.values()))
      shards.set(shard, await options.open(await siblings(shard)));
    return { ...joinShards({ file, shardOf, shards }), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await Promise.all([...shards.values()].map((shard) => shard[Symbol.asyncDispose]()));
    throw error;
  }
}

/** Tensor name to file name. */
async function readIndex(
  source: ByteSource,
  options: ReadOptions,
): Promise<ReadonlyMap<string, string>> {
  const file = source.name;
  if (source.size > longestIndex) {
    throw unknownContainer(
      file,
      `it starts like JSON and has ${source.size} bytes; an index has at most ${longestIndex}`,
      {
        expected: longestIndex,
        got: source.size,
      },
    );
  }
  const readOptions = options.signal === undefined ? {} : { signal: options.signal };
  const text = decodeText(await source.read(0, source.size, readOptions), file, 'its text');
  const root = parseJson(text, file);
  const map =
    root instanceof Map ? (root as ReadonlyMap<string, JsonValue>).get('weight_map') : undefined;
  if (!(map instanceof Map)) {
    throw unknownContainer(
      file,
      'it is JSON without a "weight_map": a configuration or an error message, not a model; give the model file itself',
    );
  }
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of map as ReadonlyMap<string, JsonValue>) {
    if (typeof shard !== 'string' || !isPlainName(shard)) {
      throw invalid(
        file,
        `its index puts ${shown(tensor)} into ${shown(typeof shard === 'string' ? shard : JSON.stringify(shard))}, which is not the plain name of a file beside it`,
        { got: shard },
      );
    }
    shardOf.set(tensor, shard);
  }
  const count = new Set(shardOf.values()).size;
  if (count === 0 || count > limits.shards) {
    throw invalid(file, `its index names ${count} files; 1 to ${limits.shards} are read`, {
      expected: limits.shards,
      got: count,
    });
  }
  return shardOf;
}

/** A name, not a path: nothing that could lead out of the folder on any system, or to another address. */
function isPlainName(name: string): boolean {
  return (
    /^[\p{L}\p{N}_][\p{L}\p{N}._ +=@()-]{0,254}$/u.test(name) &&
    !name.endsWith('.') &&
    !name.endsWith(' ')
  );
}

interface Join {
  readonly file: string;
  readonly shardOf: ReadonlyMap<string, string>;
  readonly shards: ReadonlyMap<string, RawFile>;
}

function joinShards({ file, shardOf, shards }: Join): Omit<RawFile, typeof Symbol.asyncDispose> {
  const tensors = new Map<string, RawTensor>();
  const metadata = new Map<string, MetadataValue>();
  const containers = new Set([...shards.values()].map(({ container }) => container));
  const [container] = containers;
  if (container === undefined || containers.size > 1) {
    throw invalid(file, `its shards are of different kinds: ${[...containers].join(', ')}`);
  }
  for (const [name, shard] of shards) {
    for (const tensor of shard.tensors.values()) {
      if (shardOf.get(tensor.name) !== name) {
        throw invalid(
          file,
          `${shown(name)} holds tensor ${shown(tensor.name)}, which the index does not put there`,
        );
      }
      addTensor(tensors, tensor, file);
    }
    for (const [key, value] of shard.metadata) metadata.set(key, value);
  }
  for (const [tensor, shard] of shardOf) {
    if (!tensors.has(tensor))
      throw invalid(
        file,
        `tensor ${shown(tensor)} is not in ${shown(shard)}, where the index puts it`,
      );
  }
  return { container, name: file, tensors, metadata };
}
