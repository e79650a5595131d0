import { HubError } from './errors.js';

export type ModelReference = PathReference | UrlReference | RepositoryReference;

/** A file on this machine. */
export interface PathReference {
  readonly kind: 'path';
  /** Or a `file:` URL. */
  readonly path: string;
}

export interface UrlReference {
  readonly kind: 'url';
  readonly url: URL;
}

/** A file in a repository of the hub. */
export interface RepositoryReference {
  readonly kind: 'repository';
  /** owner/name */
  readonly repository: string;
  /** Path inside the repository; absent where the repository's only model file is meant. */
  readonly file?: string;
  /** Branch, tag or commit; absent for the main branch. */
  readonly revision?: string;
  /** Whether `hf:` says so; without it an existing file of that name would win. */
  readonly explicit: boolean;
}

const modelExtension = /\.(?:pth|pt|bin|gguf|safetensors|st|json)$/i;
const segment = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$/;
const revisionCharacters = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,199})$/;
const schemes: Readonly<Record<string, ModelReference['kind']>> = {
  'http:': 'url',
  'https:': 'url',
  'blob:': 'url',
  'data:': 'url',
  'file:': 'path',
};

/**
 * What a piece of text refers to. In this order:
 *
 * 1. `http:`, `https:`, `blob:` and `data:` URLs are URLs; `file:` URLs are paths.
 * 2. `hf:owner/repository[:file][@revision]` is a repository.
 * 3. What begins with `/`, `./`, `../`, `~` or a drive letter, or holds a backslash, is a path.
 * 4. `owner/repository[:file][@revision]` without the prefix is a repository, unless `repository` ends like a model file
 *    (`models/rwkv.pth` is a path). Where there is a file system, an existing file of that very name wins.
 * 5. Everything else is a path.
 * @throws HubError `REFERENCE_INVALID`
 */
export function parseReference(text: string): ModelReference {
  if (typeof text !== 'string') throw new TypeError('A model reference is a string');
  if (text.trim() === '' || text.includes('\0')) {
    throw invalid(text, 'a path, a URL or owner/repository[:file][@revision]');
  }
  const scheme = /^[a-z][a-z0-9+.-]+:/i.exec(text)?.[0].toLowerCase();
  if (scheme === 'hf:') return repositoryOf(text.slice(3), { text, explicit: true });
  const kind = scheme === undefined ? undefined : schemes[scheme];
  if (kind === 'url') return { kind, url: urlOf(text) };
  if (kind === 'path') return { kind, path: text };
  if (scheme !== undefined && text.startsWith('//', scheme.length)) {
    throw invalid(text, `a URL of ${Object.keys(schemes).join(' ')}`);
  }
  if (/^(?:\.{0,2}[/]|~|[a-z]:[\\/])|\\/i.test(text)) return { kind: 'path', path: text };
  return looksLikeRepository(text)
    ? repositoryOf(text, { text, explicit: false })
    : { kind: 'path', path: text };
}

/** Of an owner or a repository. */
function isName(part: string): boolean {
  return segment.test(part) && !part.includes('..');
}

function looksLikeRepository(text: string): boolean {
  const [repository = ''] = text.split(/[:@]/, 1);
  const parts = repository.split('/');
  if (parts.length !== 2 || !parts.every(isName)) return false;
  return repository.length < text.length || !modelExtension.test(repository);
}

function repositoryOf(
  rest: string,
  { text, explicit }: { text: string; explicit: boolean },
): RepositoryReference {
  const at = rest.lastIndexOf('@');
  const revision = at < 0 ? undefined : rest.slice(at + 1);
  const [repository = '', ...files] = (at < 0 ? rest : rest.slice(0, at)).split(':');
  const file = files.length === 0 ? undefined : files.join(':');
  const parts = repository.split('/');
  if (parts.length !== 2 || !parts.every(isName)) {
    throw invalid(text, 'owner/repository[:file][@revision]');
  }
  if (revision !== undefined && !isRevision(revision)) {
    throw invalid(text, 'a branch, tag or commit after @');
  }
  if (file !== undefined && !isInnerPath(file)) {
    throw invalid(text, 'the path of a file in the repository after the colon');
  }
  return {
    kind: 'repository',
    repository,
    ...(file === undefined ? {} : { file }),
    ...(revision === undefined ? {} : { revision }),
    explicit,
  };
}

/** Git allows slashes in names of branches, and no empty or dotted part between them. */
function isRevision(text: string): boolean {
  return revisionCharacters.test(text) && !text.includes('..') && isInnerPath(text);
}

/** A relative path that stays inside. */
export function isInnerPath(path: string): boolean {
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

function urlOf(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw invalid(text, 'a URL', cause);
  }
}

function invalid(text: string, expected: string, cause?: unknown): HubError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return new HubError({
    code: 'REFERENCE_INVALID',
    message: `Expected ${expected}, got ${JSON.stringify(shown)}`,
    expected,
    got: shown,
    cause,
  });
}
