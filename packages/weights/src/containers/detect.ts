import type { Container } from '../raw-file.js';

/** What the first bytes of a file are: a container, the index of a sharded model, or why it is neither. */
export type Detected =
  | { readonly container: Container | 'index' }
  | { readonly unsupported: string }
  | { readonly unknown: string };

/** Bytes that `detect` looks at. */
export const detectBytes = 512;

const text = new TextDecoder('utf-8');
const tarOffset = 257;
const firstHeaderByte = 8;
/** A safetensors header of 4 GiB or more is out of the question, so its length has four zero bytes. */
const lengthHighBytes = 4;

interface Signature {
  readonly bytes: string;
  readonly is: Detected;
}

const compressed = (kind: string): Detected => ({
  unknown: `it is a ${kind} archive; unpack it and give the model file in it`,
});
const oldGgml = (kind: string): Detected => ({
  unsupported: `it is an old ${kind} file of llama.cpp, from before GGUF; convert the model again`,
});

/** Latin-1 strings, compared with the first bytes. */
const signatures: readonly Signature[] = [
  { bytes: 'PK\x03\x04', is: { container: 'pth' } },
  { bytes: 'PK\x05\x06', is: { unknown: 'it is an empty ZIP archive' } },
  { bytes: 'GGUF', is: { container: 'gguf' } },
  { bytes: 'fmgg', is: { container: 'rwkv.cpp' } },
  { bytes: 'lmgg', is: oldGgml('GGML') },
  { bytes: 'tjgg', is: oldGgml('GGJT') },
  {
    bytes: '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.',
    is: {
      unsupported:
        'it was written by PyTorch before 1.6 (or with _use_new_zipfile_serialization=False); load it with a current PyTorch and write it with torch.save again',
    },
  },
  ...['\x80\x02', '\x80\x03', '\x80\x04', '\x80\x05'].map((bytes) => ({
    bytes,
    is: {
      unsupported: 'it is a bare Python pickle; load it in Python and write it with torch.save',
    },
  })),
  { bytes: '\x1f\x8b', is: compressed('gzip') },
  { bytes: '\x28\xb5\x2f\xfd', is: compressed('Zstandard') },
  { bytes: '\xfd7zXZ\x00', is: compressed('xz') },
  { bytes: 'BZh', is: compressed('bzip2') },
  { bytes: '7z\xbc\xaf\x27\x1c', is: compressed('7-Zip') },
  { bytes: 'Rar!', is: compressed('RAR') },
  { bytes: '\x93NUMPY', is: { unknown: 'it is a NumPy array, not a model' } },
  { bytes: '\x89HDF', is: { unknown: 'it is an HDF5 file, which is not read' } },
  {
    bytes: 'version https://git-lfs.github.com/spec/',
    is: {
      unknown:
        'it is a Git LFS pointer, not the file it stands for; run `git lfs pull`, or download the file itself',
    },
  },
];

const page: Detected = {
  unknown:
    'it is a web page (an error or login page, or the page about the file); download the file itself, for example by its "download" or "resolve" address',
};

/** Decides by content, never by the name of the file. `head` has the first `detectBytes` bytes, or all there are. */
export function detect(head: Uint8Array): Detected {
  if (head.length === 0) return { unknown: 'it is empty; the download may have failed' };
  if (looksLikeSafetensors(head)) return { container: 'safetensors' };
  for (const { bytes, is } of signatures) if (matches(head, bytes, 0)) return is;
  if (matches(head, 'ustar', tarOffset)) return compressed('tar');
  const start = text
    .decode(head)
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (/^<(?:!doctype|html|head|body|\?xml|!--|error)/i.test(start)) return page;
  if (start.startsWith('{')) return { container: 'index' };
  if (head.every((byte) => byte === 0)) {
    return { unknown: 'it begins with zeros; the download may have failed' };
  }
  const shown = [...head.subarray(0, 8)]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(' ');
  return {
    unknown: `it is none of .pth, safetensors, GGUF and rwkv.cpp (it begins with ${shown}, ${JSON.stringify(start.slice(0, 24))})`,
  };
}

/** A header length, and the header's opening brace. */
function looksLikeSafetensors(head: Uint8Array): boolean {
  return (
    head[firstHeaderByte] === '{'.charCodeAt(0) &&
    head.subarray(firstHeaderByte - lengthHighBytes, firstHeaderByte).every((byte) => byte === 0)
  );
}

function matches(head: Uint8Array, bytes: string, at: number): boolean {
  if (head.length < at + bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (head[at + i] !== bytes.charCodeAt(i)) return false;
  return true;
}
