/** Files of text and of JSON lines as documents, in pieces, so that a document of any length passes through. */
import { DataError, throwIfAborted } from './errors.js';

/** A piece of a document. */
export interface DocumentPart {
  readonly text: string;
  /** False for a prompt: it is read and not learned. */
  readonly learned: boolean;
  /** Whether the document ends behind it. */
  readonly last: boolean;
}

export interface DocumentSource {
  /** Shown in errors. */
  readonly name: string;
  /** UTF-8 in chunks of any length, cut anywhere. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /**
   * - `text`: one document, or several between `separator`s.
   * - `jsonl`: one document a line: `{"text": …}`, a bare string, or `{"prompt": …, "completion": …}`, of which only the
   *   completion is learned. Other fields are passed over, and so are empty lines.
   */
  readonly format: 'text' | 'jsonl';
  /** What stands between the documents of a text and belongs to none of them. */
  readonly separator?: string | undefined;
  /** Bytes in all, where that is known. */
  readonly size?: number | undefined;
}

/** The longest line of JSON, in code units: a string of more is not safe on every engine. */
const longestLine = 2 ** 28;

/**
 * A text as documents. A byte order mark at its beginning is no part of it.
 * @param splitAt ends a document there as well: behind the first white space at or after this byte
 * @throws DataError `TEXT_INVALID` for bytes that are not UTF-8
 */
export async function* textParts(
  { name, bytes, separator = '' }: DocumentSource,
  { splitAt = Infinity, signal }: { splitAt?: number; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<DocumentPart> {
  let pending = '';
  let isBehindSplit = false;
  let isSplit = splitAt === Infinity;
  for await (const { text, end } of decoded({ name, bytes, splitAt, signal })) {
    pending += text;
    if (isBehindSplit && !isSplit) {
      const space = pending.search(/\s/);
      if (space >= 0) {
        yield { text: pending.slice(0, space + 1), learned: true, last: true };
        pending = pending.slice(space + 1);
        isSplit = true;
      }
    }
    isBehindSplit ||= end >= splitAt;
    if (separator === '') {
      if (pending !== '') yield { text: pending, learned: true, last: false };
      pending = '';
      continue;
    }
    const documents = pending.split(separator);
    pending = documents.pop()!;
    for (const document of documents) yield { text: document, learned: true, last: true };
    // All but what may be the beginning of a separator goes on.
    const kept = Math.min(pending.length, separator.length - 1);
    const complete = pending.slice(0, pending.length - kept);
    if (complete !== '') yield { text: complete, learned: true, last: false };
    pending = pending.slice(pending.length - kept);
  }
  yield { text: pending, learned: true, last: true };
}

/** @throws DataError `TEXT_INVALID` for a line that is not as `DocumentSource.format` says */
export async function* jsonLineParts(
  { name, bytes }: DocumentSource,
  { signal }: { signal?: AbortSignal | undefined } = {},
): AsyncGenerator<DocumentPart> {
  let line = 0;
  for await (const text of linesOf({ name, bytes, splitAt: Infinity, signal })) {
    line++;
    if (text.trim() !== '') yield* partsOfLine(text, `${name}: line ${line}`);
  }
}

function* partsOfLine(text: string, place: string): Generator<DocumentPart> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw textInvalid(`${place} is not JSON: ${text.slice(0, 40)}`, 'JSON', cause);
  }
  const fields = typeof value === 'object' && value !== null ? value : { text: value };
  const {
    text: whole,
    prompt,
    completion,
  } = fields as { readonly [Name in 'text' | 'prompt' | 'completion']?: unknown };
  if (typeof whole === 'string') {
    yield { text: whole, learned: true, last: true };
  } else if (typeof prompt === 'string' && typeof completion === 'string') {
    yield { text: prompt, learned: false, last: false };
    yield { text: completion, learned: true, last: true };
  } else {
    const got = Array.isArray(value) ? 'a list' : `the fields ${Object.keys(fields).join(', ')}`;
    throw textInvalid(
      `${place}: expected {"text": "…"}, {"prompt": "…", "completion": "…"} or a string, got ${got.slice(0, 200)}`,
      'text, or prompt and completion',
    );
  }
}

interface DecodeOptions extends Pick<DocumentSource, 'name' | 'bytes'> {
  /** No chunk reaches over this byte. */
  readonly splitAt: number;
  readonly signal: AbortSignal | undefined;
}

/** Text, and how many bytes were read by its end. */
async function* decoded({
  name,
  bytes,
  splitAt,
  signal,
}: DecodeOptions): AsyncGenerator<{ readonly text: string; readonly end: number }> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let end = 0;
  const decode = (chunk: Uint8Array | undefined): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch (cause) {
      throw textInvalid(
        `${name} is not UTF-8 text: a byte near ${end} begins no character; convert it first`,
        'UTF-8',
        cause,
      );
    }
  };
  for await (const whole of bytes) {
    throwIfAborted('reading text', signal);
    const cut = Math.min(Math.max(0, splitAt - end), whole.length);
    for (const chunk of [whole.subarray(0, cut), whole.subarray(cut)]) {
      if (chunk.length === 0) continue;
      const text = decode(chunk);
      end += chunk.length;
      yield { text, end };
    }
  }
  yield { text: decode(undefined), end };
}

/** Lines, ended by \n or \r\n; U+2028 and its like stand inside JSON strings. */
async function* linesOf(options: DecodeOptions): AsyncGenerator<string> {
  let parts: string[] = [];
  let length = 0;
  for await (const { text } of decoded(options)) {
    const lines = text.split('\n');
    for (const [at, line] of lines.entries()) {
      parts.push(line);
      length += line.length;
      if (length > longestLine)
        throw textInvalid(
          `${options.name}: a line is longer than ${longestLine} characters; a text without lines is not JSONL`,
          longestLine,
        );
      if (at === lines.length - 1) break;
      yield parts.join('');
      parts = [];
      length = 0;
    }
  }
  yield parts.join('');
}

function textInvalid(message: string, expected: unknown, cause?: unknown): DataError {
  return new DataError({ code: 'TEXT_INVALID', message, expected, cause });
}
