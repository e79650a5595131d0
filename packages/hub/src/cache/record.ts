/** What a cache knows of a file: one small JSON document each, which also makes a downloaded file count as verified. */
import { type ContentHash, contentHash, shortHash } from './content-hash.js';
import type { RemoteFile } from './model-cache.js';

export interface FileRecord {
  readonly version: 1;
  readonly id: string;
  readonly model: string;
  readonly partOf?: string | undefined;
  readonly name: string;
  /** Path of the file; while it is not whole, with `partSuffix`. */
  readonly path: string;
  readonly revision?: string | undefined;
  readonly size?: number | undefined;
  /** What the file has to have, or once it is whole and nothing was demanded, what it had. */
  readonly hash?: ContentHash | undefined;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  /** Bytes that are known to be on the disk, from the start. */
  readonly durable: number;
  /** There once it is whole. */
  readonly verified?:
    | {
        /** Date of the file then, as `CacheStorage.facts` gives it. */
        readonly modified: number;
        /** Milliseconds since 1970. */
        readonly at: number;
      }
    | undefined;
  readonly damaged?: boolean | undefined;
}

export const partSuffix = '.part';
export const recordFolder = 'records';
export const noteFolder = 'answers';
const fileFolder = 'files';

export function recordPath(id: string): string {
  return `${recordFolder}/${id}.json`;
}

/** What equal files have in common: their place. */
export function idOf({ place }: Pick<RemoteFile, 'place'>): string {
  return shortHash(place.join('\0'));
}

export function newRecord(file: RemoteFile): FileRecord {
  const id = idOf(file);
  return {
    version: 1,
    id,
    model: file.model,
    partOf: file.partOf,
    name: file.place.at(-1) ?? file.model,
    path: [fileFolder, ...file.place.flatMap((part) => part.split('/')).map(safeName)].join('/'),
    revision: file.revision,
    size: file.size,
    hash: file.hash,
    durable: 0,
  };
}

const longestName = 120;
const reserved = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/** A name that every file system takes, and that is another one for another text. */
export function safeName(text: string): string {
  const plain = text.replace(/[^A-Za-z0-9._ +=@,()-]/g, '_').replace(/^[. ]+|[. ]+$/g, '_');
  const kept = plain.slice(-longestName);
  // A part file must not look like another file's own name.
  const isSafe =
    plainPart.test(text) && kept === text && !reserved.test(text) && !text.endsWith(partSuffix);
  return isSafe ? text : `${shortHash(text).slice(0, 8)}-${kept.replaceAll(partSuffix, '_part')}`;
}

export function encodeRecord(record: FileRecord): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(record));
}

/** Undefined for what is no record, or one of another version: a file without a record is not verified. */
export function parseRecord(bytes: Uint8Array | undefined): FileRecord | undefined {
  const value = parseJson(bytes);
  if (!isObject(value) || value['version'] !== 1) return undefined;
  const { id, model, name, path, durable, hash } = value;
  const areTexts = [id, model, name, path].every((each) => typeof each === 'string');
  if (!areTexts || !isSize(durable) || !isPlainPath(path as string)) return undefined;
  if (value['size'] !== undefined && !isSize(value['size'])) return undefined;
  if (hash !== undefined && !isHash(hash)) return undefined;
  const { verified } = value;
  if (verified !== undefined && !(isObject(verified) && typeof verified['modified'] === 'number'))
    return undefined;
  return value as unknown as FileRecord;
}

export function parseJson(bytes: Uint8Array | undefined): unknown {
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isHash(value: unknown): value is ContentHash {
  if (!isObject(value)) return false;
  const { algorithm } = value;
  if (algorithm !== 'sha256' && algorithm !== 'git-blob') return false;
  return contentHash(algorithm, value['value']) !== undefined;
}

/** Somebody else may have written into the folder: a path must not lead out of it. */
function isPlainPath(path: string): boolean {
  const parts = path.split('/');
  return parts[0] === fileFolder && parts.length > 1 && parts.every((part) => plainPart.test(part));
}

const plainPart = /^[A-Za-z0-9_+=@,()-][A-Za-z0-9._ +=@,()-]{0,159}$/;
