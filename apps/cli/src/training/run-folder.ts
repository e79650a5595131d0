/** A run's folder: config.json, log.jsonl, loss.svg, checkpoints/, and what was learned. */
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { CheckpointStore } from '@rwkv-ts/train';
import { folderCheckpoints } from '@rwkv-ts/train/node';
import { InputError, UsageError } from '../failure.js';
import { makeFolder } from '../make-folder.js';
import { writeWhole } from '../output-file.js';
import { type CurvePoint, lossSvg } from './loss-svg.js';
import {
  type GivenSettings,
  parseSettings,
  type Settings,
  type TrainingCommand,
} from './settings.js';

export interface RunEvent {
  readonly type: 'begin' | 'step' | 'evaluation' | 'sample' | 'checkpoint' | 'end';
  readonly step: number;
  readonly [field: string]: unknown;
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

export class RunFolder implements AsyncDisposable {
  readonly path: string;
  readonly checkpoints: CheckpointStore;
  readonly #training: CurvePoint[] = [];
  readonly #heldOut: CurvePoint[] = [];
  #log: FileHandle | undefined;

  constructor(path: string) {
    this.path = path;
    this.checkpoints = folderCheckpoints(join(path, 'checkpoints'));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** What an earlier run of this folder was made from. @throws UsageError, InputError */
  async readSettings(command: TrainingCommand): Promise<GivenSettings> {
    const file = this.file('config.json');
    const text = await readFile(file, 'utf8').catch(() => {
      throw new UsageError(`--resume: ${this.path} holds no run: there is no config.json.`);
    });
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new InputError(`${file} is not JSON.`, { cause });
    }
    const { command: of, settings } = (value ?? {}) as { command?: unknown; settings?: unknown };
    if (of !== command) {
      throw new UsageError(`--resume: ${this.path} is a run of rwkv ${String(of)}.`);
    }
    return parseSettings(settings, { file, command });
  }

  /** @throws InputError where a run is there already, and none is to go on */
  async begin(
    settings: Settings,
    { command, resumedAt }: { readonly command: TrainingCommand; readonly resumedAt?: number },
  ): Promise<void> {
    const config = this.file('config.json');
    if (resumedAt === undefined && (await exists(config))) {
      throw new InputError(
        `${this.path} holds a run already: go on with --resume, or name another.`,
      );
    }
    await makeFolder(this.path);
    await writeWhole(
      config,
      new TextEncoder().encode(`${JSON.stringify({ command, settings }, undefined, 2)}\n`),
    );
    if (resumedAt !== undefined) await this.#rewind(resumedAt);
    this.#log = await open(this.file('log.jsonl'), 'a');
  }

  /** What an interrupted run logged behind its last checkpoint happens again. */
  async #rewind(step: number): Promise<void> {
    const file = this.file('log.jsonl');
    const text = await readFile(file, 'utf8').catch((cause: unknown) => {
      // Written anew below: one that is there and cannot be read must not be lost.
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return '';
      throw new InputError(`${file} cannot be read: ${(cause as Error).message}`, { cause });
    });
    const lines = text.split('\n').filter((line) => {
      const event = parseEvent(line);
      if (event === undefined || event.step > step) return false;
      this.#remember(event);
      return true;
    });
    await writeFile(file, lines.map((line) => `${line}\n`).join(''));
  }

  #remember({ type, step, loss }: RunEvent): void {
    if (typeof loss !== 'number') return;
    if (type === 'step') this.#training.push({ step, loss });
    if (type === 'evaluation') this.#heldOut.push({ step, loss });
  }

  async log(event: RunEvent): Promise<void> {
    this.#remember(event);
    await this.#log?.appendFile(`${JSON.stringify(event)}\n`);
  }

  async drawLoss(title: string): Promise<void> {
    const svg = lossSvg({ title, training: this.#training, heldOut: this.#heldOut });
    await writeWhole(this.file('loss.svg'), new TextEncoder().encode(svg));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log?.close();
    this.#log = undefined;
  }
}

function parseEvent(line: string): RunEvent | undefined {
  try {
    const event = JSON.parse(line) as Partial<RunEvent> | null;
    return typeof event?.step === 'number' ? (event as RunEvent) : undefined;
  } catch {
    return undefined;
  }
}
