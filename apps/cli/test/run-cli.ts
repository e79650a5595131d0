/** Runs the built command as a person would: another process, its own standard streams. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RwkvError } from '@rwkv-ts/backend';
import { availableInstructions } from '@rwkv-ts/backend-cpu';

export const mainFile = fileURLToPath(new URL('../dist/main.js', import.meta.url));
if (!existsSync(mainFile)) throw new Error(`${mainFile} is missing: run pnpm build first.`);

/** What the native backend can compute with here; nothing where it was not built. */
export const nativeInstructions = instructionsHere();

function instructionsHere(): readonly string[] {
  try {
    return availableInstructions();
  } catch (error) {
    if (RwkvError.isInstance(error)) return [];
    throw error;
  }
}

/** Where the addon was not built, every command says so; tests of other things are about those. */
const nativeIsMissing = nativeInstructions.length === 0;
const fallbackWarning = /^warning: The native CPU backend .*\n/;

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** Default: empty and closed. `open` keeps standard input open and silent. */
  readonly input?: string | Uint8Array | { readonly open: true };
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Sends SIGINT as soon as this much has come out of the stream. */
  readonly interruptAfter?: { readonly stream: 'stdout' | 'stderr'; readonly text: RegExp };
  /** Sends SIGINT so many milliseconds after the command began to listen for it. */
  readonly interruptIn?: number;
  /** Sends SIGINT when a file whose name ends like this appears in `cwd`. */
  readonly interruptAtFile?: string;
  /** Closes standard output once this many characters were read, as `head` does. */
  readonly closeOutputAfter?: number;
}

/** Says on standard error when the command listens for Ctrl-C: before that, a signal just ends Node. */
const announcement = '[listening]\n';
const announcer = `data:text/javascript,process.on('newListener',(name)=>{if(name==='SIGINT')process.stderr.write(${JSON.stringify(announcement)})})`;

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { input = '', cwd, environment, interruptAfter, interruptIn, interruptAtFile } = options;
  const preload = interruptIn === undefined ? [] : ['--import', announcer];
  const child = spawn(process.execPath, [...preload, mainFile, ...args], {
    cwd,
    env: { ...process.env, FORCE_COLOR: '', NO_COLOR: '', ...environment },
    timeout: 55_000,
    killSignal: 'SIGKILL',
  });
  const stopWatching =
    interruptAtFile === undefined
      ? () => undefined
      : whenFileAppears({ folder: cwd ?? '.', ending: interruptAtFile }, () =>
          child.kill('SIGINT'),
        );
  const output = { stdout: '', stderr: '' };
  let interrupted = false;
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = child[name].setEncoding('utf8');
    stream.on('data', (text: string) => {
      output[name] += text;
      if (interruptIn !== undefined && name === 'stderr' && output.stderr.includes(announcement)) {
        output.stderr = output.stderr.replace(announcement, '');
        setTimeout(() => child.kill('SIGINT'), interruptIn).unref();
      }
      if (
        interruptAfter?.stream === name &&
        !interrupted &&
        interruptAfter.text.test(output[name])
      ) {
        interrupted = true;
        child.kill('SIGINT');
      }
      if (name === 'stdout' && output.stdout.length >= (options.closeOutputAfter ?? Infinity))
        stream.destroy();
    });
  }
  // A command that does not read its input closes the pipe, which is its right.
  child.stdin.on('error', () => undefined);
  if (typeof input === 'string' || input instanceof Uint8Array) child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      stopWatching();
      if (nativeIsMissing && environment?.['NODE_OPTIONS'] === undefined)
        output.stderr = output.stderr.replace(fallbackWarning, '');
      resolve({ code, ...output });
    });
  });
}

function whenFileAppears(
  { folder, ending }: { folder: string; ending: string },
  act: () => void,
): () => void {
  const timer = setInterval(() => {
    if (!readdirSync(folder).some((name) => name.endsWith(ending))) return;
    clearInterval(timer);
    act();
  }, 2);
  return () => {
    clearInterval(timer);
  };
}

/** The one JSON value that a successful command printed. @throws when it failed, with what it said */
export async function runJson(args: readonly string[], options?: CliOptions): Promise<unknown> {
  const { code, stdout, stderr } = await runCli([...args, '--json'], options);
  if (code !== 0) throw new Error(`rwkv ${args.join(' ')} exited with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}
