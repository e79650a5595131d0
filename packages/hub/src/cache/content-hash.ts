/** Hashes that hubs give for files, computed piece by piece. */
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

/**
 * `sha256`: of the bytes. `git-blob`: SHA-1 of `blob SIZE`, a zero byte and the bytes, which is how Git and the hub name
 * small files.
 */
export type HashAlgorithm = 'sha256' | 'git-blob';

export interface ContentHash {
  readonly algorithm: HashAlgorithm;
  /** Lower-case hexadecimal digits. */
  readonly value: string;
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Hexadecimal digits; the end of the hasher. */
  digest(): string;
}

export interface HashRequest {
  readonly algorithm: HashAlgorithm;
  /** Bytes of the file, which Git's hash begins with. */
  readonly size: number;
}

export type CreateHash = (request: HashRequest) => Hasher;

/** In plain JavaScript: WebCrypto has no incremental digest. */
export const createPortableHash: CreateHash = ({ algorithm, size }) => {
  const hash = algorithm === 'sha256' ? sha256.create() : sha1.create();
  if (algorithm === 'git-blob') hash.update(gitHeader(size));
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    digest: () => bytesToHex(hash.digest()),
  };
};

export function gitHeader(size: number): Uint8Array {
  return utf8ToBytes(`blob ${size}\0`);
}

/** 32 hexadecimal digits that stand for a text: names of records and locks. */
export function shortHash(text: string): string {
  return bytesToHex(sha256(utf8ToBytes(text))).slice(0, 32);
}

const digits: Readonly<Record<HashAlgorithm, RegExp>> = {
  sha256: /^[0-9a-f]{64}$/,
  'git-blob': /^[0-9a-f]{40}$/,
};

/** Undefined for anything else than a hash in digits. */
export function contentHash(algorithm: HashAlgorithm, value: unknown): ContentHash | undefined {
  if (typeof value !== 'string') return undefined;
  const plain = value.replace(/^sha256:/, '').toLowerCase();
  return digits[algorithm].test(plain) ? { algorithm, value: plain } : undefined;
}
