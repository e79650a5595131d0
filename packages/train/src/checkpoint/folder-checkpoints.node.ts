import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { fileSink, fileSource } from '@rwkv-ts/weights/node';
import { TrainError } from '../errors.js';
import type { CheckpointDraft, CheckpointStore } from './store.js';

const complete = /^step-(\d{1,15})$/;
/** A folder that is being written, or whose writer died. */
const unfinished = /^\.step-\d+\.[0-9a-f]+\.(?:part|old)$/;

const folderName = (step: number): string => `step-${String(step).padStart(6, '0')}`;

/**
 * Checkpoints as folders `step-000100` of one folder, which is made when the first is written. Each is written beside its
 * place, flushed to the disk and renamed: whoever looks sees all of it or nothing. What an earlier process left half-written
 * is removed when the next one is written.
 */
export function folderCheckpoints(folder: string): CheckpointStore {
  const find = async (step: number): Promise<string> => {
    const name = (await namesIn(folder)).find((each) => stepOf(each) === step);
    if (name !== undefined) return join(folder, name);
    throw new TrainError({
      code: 'CHECKPOINT_NOT_FOUND',
      message: `${folder} has no checkpoint of step ${step}.`,
      expected: folderName(step),
    });
  };
  return {
    async list() {
      const steps = (await namesIn(folder)).flatMap((name) => stepOf(name) ?? []);
      return steps.sort((a, b) => a - b);
    },
    async create(step) {
      await mkdir(folder, { recursive: true });
      for (const name of await namesIn(folder)) {
        if (unfinished.test(name)) await rm(join(folder, name), { recursive: true, force: true });
      }
      return createDraft(folder, step);
    },
    open: async (step, file) => fileSource(join(await find(step), file)),
    async remove(step) {
      await rm(await find(step), { recursive: true, force: true });
    },
  };
}

function stepOf(name: string): number | undefined {
  const match = complete.exec(name);
  return match ? Number(match[1]) : undefined;
}

/** Empty where there is no such folder yet. */
async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  });
}

async function createDraft(folder: string, step: number): Promise<CheckpointDraft> {
  const random = randomBytes(6).toString('hex');
  const temporary = join(folder, `.${folderName(step)}.${random}.part`);
  await mkdir(temporary);
  return {
    sink: (file) => fileSink(join(temporary, file)),
    async commit() {
      const place = join(folder, folderName(step));
      const old = join(folder, `.${folderName(step)}.${random}.old`);
      // A folder cannot be renamed onto one that is not empty.
      const replaced = await rename(place, old).then(
        () => true,
        () => false,
      );
      await rename(temporary, place);
      await flushFolder(folder);
      if (replaced) await rm(old, { recursive: true, force: true });
      return place;
    },
    async [Symbol.asyncDispose]() {
      await rm(temporary, { recursive: true, force: true });
    },
  };
}

/** Makes the rename durable. Windows and some network file systems cannot; the checkpoint is whole either way. */
async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
