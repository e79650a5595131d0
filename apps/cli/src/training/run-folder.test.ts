import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clock } from './live-progress.js';
import { RunFolder } from './run-folder.js';
import { mergeSettings } from './settings.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-run-'));
});
afterAll(() => rm(folder, { recursive: true }));

const settings = mergeSettings([{ data: 'book', layers: 2 }], 'train');

describe('a run folder', () => {
  it('keeps settings, and forgets what happened behind the checkpoint that is gone on from', async () => {
    const path = join(folder, 'deep', 'run');
    {
      await using run = new RunFolder(path);
      await run.begin(settings, { command: 'train' });
      for (const step of [1, 2, 3]) await run.log({ type: 'step', step, loss: step });
    }
    await writeFile(join(path, 'log.jsonl'), '{"type":"st', { flag: 'a' });
    {
      await using run = new RunFolder(path);
      expect(mergeSettings([await run.readSettings('train')], 'train')).toEqual(settings);
      await expect(run.readSettings('finetune')).rejects.toThrow(/is a run of rwkv train/);
      await run.begin(settings, { command: 'train', resumedAt: 2 });
      await run.log({ type: 'step', step: 3, loss: 9 });
      await run.drawLoss('curve');
    }
    const lines = (await readFile(join(path, 'log.jsonl'), 'utf8')).trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { loss: number }).loss)).toEqual([1, 2, 9]);
    const svg = await readFile(join(path, 'loss.svg'), 'utf8');
    expect(/points="([^"]*)"/.exec(svg)![1]!.split(' ')).toHaveLength(3);
  });

  it('keeps a log that cannot be read, and says so', async () => {
    const path = join(folder, 'unreadable');
    await mkdir(join(path, 'log.jsonl'), { recursive: true });
    await using run = new RunFolder(path);
    await expect(run.begin(settings, { command: 'train', resumedAt: 2 })).rejects.toThrow(
      /log\.jsonl cannot be read: EISDIR/,
    );
  });

  it('is not written over, and says what it is not', async () => {
    const path = join(folder, 'taken');
    await using run = new RunFolder(path);
    await expect(run.readSettings('train')).rejects.toThrow(/holds no run/);
    await run.begin(settings, { command: 'train' });
    await using other = new RunFolder(path);
    await expect(other.begin(settings, { command: 'train' })).rejects.toThrow(
      /holds a run already/,
    );
    await writeFile(join(path, 'config.json'), '{');
    await expect(other.readSettings('train')).rejects.toThrow(/config\.json is not JSON/);
    await writeFile(join(path, 'config.json'), '{"command":"train","settings":{"layers":-1}}');
    await expect(other.readSettings('train')).rejects.toThrow(/layers: Expected/);
  });
});

it('clock', () => {
  expect([0, 59.6, 61, 3599, 3600, 37_230].map(clock)).toEqual([
    '0:00',
    '1:00',
    '1:01',
    '59:59',
    '1:00:00',
    '10:20:30',
  ]);
});
