/** The bytes of a file from a server into an appender: from where it stands to the end, through cuts and pauses. */
import type { Appender } from '../cache/storage.js';
import { HubError, abortedError, throwIfAborted } from '../errors.js';
import { type Answer, type KnownFile, isResumable, readAnswer } from './answer.js';
import { type GetRequest, PassingFailure, delayBefore, get, pause, unlessStalled } from './http.js';

type Part = Extract<Answer, { kind: 'part' }>;

export interface Download extends Omit<GetRequest, 'headers'> {
  readonly known: Omit<KnownFile, 'name'>;
  /** What the file must have; `known.size` may also be what a server once said. */
  readonly declaredSize: number | undefined;
  /** Bytes that are there already. */
  readonly offset: number;
  readonly appender: Appender;
  /** Sees each piece before it is written. */
  readonly onBytes: (bytes: Uint8Array) => void;
  /** What is there counts no longer: the file starts anew, and so does what `onBytes` adds up. */
  readonly onRestart: () => void;
  /** Called with the first answer, before anything of it is written; may refuse it. */
  readonly onFacts: (facts: DownloadFacts) => Promise<void>;
  readonly onProgress: (done: number, total: number) => void;
  /** Called when `done` bytes are safe on the disk. */
  readonly onCheckpoint: (done: number) => Promise<void>;
}

export interface DownloadFacts {
  readonly size: number;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

interface Progress {
  known: KnownFile;
  offset: number;
  safe: number;
  /** When that was. */
  flushed: number;
  /** Whether this call has had an answer: what changes after that changed meanwhile. */
  answered: boolean;
}

/** Bytes or milliseconds between flushes, whichever comes first: what a crash can cost. */
const checkpointBytes = 64 * 1024 * 1024;
const checkpointMilliseconds = 5_000;
/** A try that brings this much was no failure, whatever ended it. */
const progressBytes = 1024 * 1024;

/**
 * Resolves when all bytes are written. On failure what came stays, flushed, for another call to go on from.
 * @throws HubError
 */
export async function download(task: Download): Promise<void> {
  const progress: Progress = {
    known: { ...task.known, name: task.name },
    offset: task.offset,
    safe: task.offset,
    flushed: performance.now(),
    answered: false,
  };
  if (progress.offset > 0 && !isResumable(progress.known)) await restart(task, progress);
  try {
    await attempts(task, progress);
  } catch (error) {
    // The reason counts, also where the disk that refused a write refuses to be flushed.
    await checkpoint(task, progress).catch(() => undefined);
    throw error;
  }
  await checkpoint(task, progress);
}

async function attempts(task: Download, progress: Progress): Promise<void> {
  const { network, name, signal } = task;
  let failures = 0;
  while (progress.offset !== progress.known.size) {
    const before = progress.offset;
    try {
      await attempt(task, progress);
      // A server may send less than all at once; next to nothing over and over is a failure.
      const isEnough = progress.offset - before >= progressBytes;
      if (!isEnough && progress.offset !== progress.known.size) throw endedEarly(task, progress);
      failures = 0;
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw error;
      failures = progress.offset - before >= progressBytes ? 1 : failures + 1;
      if (failures > network.retries) throw error.final;
      await pause(delayBefore(failures, network, error.wait), { name, signal });
      if (progress.offset > 0 && !isResumable(progress.known)) await restart(task, progress);
    }
  }
}

async function attempt(task: Download, progress: Progress): Promise<void> {
  const { offset } = progress;
  const response = await get({ ...task, headers: { Range: `bytes=${offset}-` } });
  const discard = async (): Promise<void> => {
    await response.body?.cancel().catch(() => undefined);
  };
  try {
    const answer = readAnswer(response, progress.known, offset);
    if (answer.kind === 'changed') {
      if (progress.answered) throw changed(task, answer.what);
      await discard();
      progress.known = {
        ...progress.known,
        size: task.declaredSize,
        etag: undefined,
        lastModified: undefined,
      };
      await restart(task, progress);
      await attempt(task, progress);
      return;
    }
    await accept(task, progress, answer);
    await readBody({ response, answer, task, progress });
  } catch (error) {
    await discard();
    throw error;
  }
}

async function accept(task: Download, progress: Progress, answer: Part): Promise<void> {
  const { size, etag, lastModified } = answer;
  if (!progress.answered) await task.onFacts({ size, etag, lastModified });
  progress.answered = true;
  progress.known = {
    ...progress.known,
    size,
    etag: progress.known.etag ?? etag,
    lastModified: progress.known.lastModified ?? lastModified,
  };
  // The server ignores ranges: what was there is sent again.
  if (answer.start < progress.offset) await restart(task, progress);
}

interface BodyRead {
  readonly response: Response;
  readonly answer: Part;
  readonly task: Download;
  readonly progress: Progress;
}

/** Writes the body, and never a byte more than was announced. */
async function readBody({ response, answer, task, progress }: BodyRead): Promise<void> {
  const { name, signal, network } = task;
  const reader = response.body?.getReader();
  try {
    while (reader !== undefined) {
      const { done, value } = await next(reader, { task, network });
      if (done) break;
      throwIfAborted(name, signal);
      if (progress.offset + value.length > answer.end) {
        throw new HubError({
          code: 'SIZE_MISMATCH',
          message: `${name}: the server sends more than the ${answer.end} bytes it announced`,
          expected: answer.end,
          got: progress.offset + value.length,
        });
      }
      task.onBytes(value);
      await task.appender.write(value);
      progress.offset += value.length;
      task.onProgress(progress.offset, answer.size);
      if (isDue(progress)) await checkpoint(task, progress);
    }
  } finally {
    void reader?.cancel().catch(() => undefined);
  }
  if (progress.offset < answer.end) throw endedEarly(task, progress);
}

async function next(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { task, network }: { task: Download; network: Download['network'] },
): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await unlessStalled(reader.read(), network);
  } catch (cause) {
    if (task.signal?.aborted === true) throw abortedError(task.name, task.signal);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PassingFailure(
      new HubError({
        code: 'OFFLINE',
        message: `${task.name}: the connection broke: ${reason}`,
        cause,
      }),
    );
  }
}

async function restart(task: Download, progress: Progress): Promise<void> {
  await task.appender.restart();
  progress.offset = 0;
  progress.safe = 0;
  task.onRestart();
  await task.onCheckpoint(0);
}

function isDue({ offset, safe, flushed }: Progress): boolean {
  return offset - safe >= checkpointBytes || performance.now() - flushed >= checkpointMilliseconds;
}

async function checkpoint(task: Download, progress: Progress): Promise<void> {
  await task.appender.flush();
  progress.safe = progress.offset;
  progress.flushed = performance.now();
  await task.onCheckpoint(progress.offset);
}

function endedEarly({ name }: Download, { offset, known }: Progress): PassingFailure {
  return new PassingFailure(
    new HubError({
      code: 'SIZE_MISMATCH',
      message: `${name}: the server ends after ${offset} of ${known.size ?? 'unknown'} bytes`,
      expected: known.size,
      got: offset,
    }),
  );
}

function changed({ name }: Download, what: string): HubError {
  return new HubError({
    code: 'FILE_CHANGED',
    message: `${name}: the file changed on the server while it was downloaded (${what}); try again to get the new one`,
    got: what,
  });
}
