/**
 * The command's surroundings: where it prints, whether a person is watching, and the signal that Ctrl-C fires. Results
 * go to standard output; progress, notes and errors to standard error, so that a pipe gets only results.
 */
import cliProgress from 'cli-progress';
import { errorColors } from './colors.js';
import { exitCodes } from './exit-codes.js';
import { oneLine, printable } from './printable.js';

export interface Terminal {
  readonly signal: AbortSignal;
  /** Resolves when the text is accepted, so that a slow pipe slows generation instead of filling memory. */
  write(text: string): Promise<void>;
  /** What a model says: as it is into pipes and files, without control characters on a screen. */
  writeSpoken(text: string): Promise<void>;
  /** Likewise, with a newline. */
  line(text: string): Promise<void>;
  json(value: unknown): Promise<void>;
  /** To standard error. */
  note(text: string): void;
  /** To standard error, marked as a warning. */
  warn(text: string): void;
  /** A progress bar on standard error; silent when it is no terminal. */
  progress(label: string): Progress;
}

export interface Progress extends Disposable {
  /** Whether anybody sees it. */
  readonly isShown: boolean;
  /** `details` stand behind the bar. */
  update(done: number, total: number, details?: string): void;
}

export function createTerminal(): Terminal & { interrupted(): boolean } {
  const controller = new AbortController();
  // A closed terminal or a service manager's stop ends as cleanly as Ctrl-C.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // A second one means now.
      if (controller.signal.aborted) process.exit(exitCodes.interrupted);
      controller.abort();
    });
  }
  // A reader that closes the pipe early (`| head`) is a normal end.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? exitCodes.ok : exitCodes.failed);
  });
  // Nobody reads the notes: the work goes on.
  process.stderr.on('error', () => undefined);
  const write = (text: string): Promise<void> =>
    new Promise((resolve) => {
      process.stdout.write(text, () => {
        resolve();
      });
    });
  return {
    signal: controller.signal,
    interrupted: () => controller.signal.aborted,
    write,
    writeSpoken: (text) => write(process.stdout.isTTY ? printable(text) : text),
    line: (text) => write(`${process.stdout.isTTY ? printable(text) : text}\n`),
    json: (value) => write(`${JSON.stringify(value, plainValues)}\n`),
    note: (text) => {
      process.stderr.write(`${errorColors.dim(printable(text))}\n`);
    },
    warn: (text) => {
      process.stderr.write(`${errorColors.yellow('warning')}: ${oneLine(text)}\n`);
    },
    progress,
  };
}

/** Typed arrays as arrays, bigints as numbers where exact. */
function plainValues(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') {
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
  }
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return Array.from(value as unknown as ArrayLike<number>);
  }
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  return value;
}

const mebibyte = 1 << 20;
/** Below this a bar would only flicker. */
const showAfterMilliseconds = 300;

function progress(label: string): Progress {
  if (!process.stderr.isTTY || process.env['TERM'] === 'dumb')
    return { isShown: false, update: () => undefined, [Symbol.dispose]: () => undefined };
  const bar = new cliProgress.SingleBar({
    format: `${label} {bar} {percentage}%  {done}/{size}  {duration_formatted}{details}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    barsize: 30,
  });
  const began = performance.now();
  let running = false;
  const size = (bytes: number) =>
    bytes >= mebibyte ? `${(bytes / mebibyte).toFixed(0)} MiB` : String(bytes);
  return {
    isShown: true,
    update(done, total, details = '') {
      const shown = details === '' ? '' : `  ${details}`;
      const payload = { done: size(done), size: size(total), details: shown };
      if (!running) {
        if (performance.now() - began < showAfterMilliseconds) return;
        bar.start(total, done, payload);
        running = true;
      }
      bar.setTotal(total);
      bar.update(done, payload);
    },
    [Symbol.dispose]() {
      if (running) bar.stop();
      running = false;
    },
  };
}
