import { HubError } from './errors.js';

export interface RepositoryFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

const shard = /-\d{5}-of-\d{5}\.(?:safetensors|bin)$/;
/** `.bin` last: it is rwkv.cpp's, and many other things'. */
const preferences: readonly { readonly whole: RegExp; readonly index: RegExp }[] = [
  { whole: /\.(?:pth|gguf|safetensors)$/i, index: /\.safetensors\.index\.json$/ },
  { whole: /\.(?:bin|st)$/i, index: /\.bin\.index\.json$/ },
];
const noModel = /(?:^|\/)(?:training_args|optimizer|scheduler|tokenizer)[^/]*$/i;
const listed = 20;

/**
 * The one model file of a repository. A sharded model counts as one, by its index.
 * @throws HubError `NO_MODEL_FILE`, `MODEL_AMBIGUOUS`
 */
export function pickModelFile(repository: string, files: readonly RepositoryFile[]): string {
  for (const { whole, index } of preferences) {
    const candidates = files.filter(
      ({ path }) =>
        index.test(path) || (whole.test(path) && !shard.test(path) && !noModel.test(path)),
    );
    if (candidates.length === 1) return candidates[0]!.path;
    if (candidates.length > 1) throw ambiguous(repository, candidates);
  }
  const names = files.slice(0, listed).map(({ path }) => path);
  throw new HubError({
    code: 'NO_MODEL_FILE',
    message: `${repository} holds no model file (.pth, .safetensors, .gguf, .bin); it holds ${names.join(', ') || 'nothing'}`,
    expected: '.pth, .safetensors, .gguf, .bin',
    got: names,
  });
}

function ambiguous(repository: string, candidates: readonly RepositoryFile[]): HubError {
  const lines = candidates
    .slice(0, listed)
    .map(({ path, size }) => `  ${repository}:${path}  (${(size / 1e6).toFixed(1)} MB)`);
  const more = candidates.length - listed;
  return new HubError({
    code: 'MODEL_AMBIGUOUS',
    message: [
      `${repository} holds ${candidates.length} model files; name one of them:`,
      ...lines,
      ...(more > 0 ? [`  and ${more} more`] : []),
    ].join('\n'),
    expected: candidates.map(({ path }) => path),
    got: candidates.length,
  });
}
