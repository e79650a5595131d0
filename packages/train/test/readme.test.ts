/** The training example of the README, run as it stands there, with fewer updates of a smaller model. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReferenceBackend } from '@rwkv-ts/reference';
import * as train from '@rwkv-ts/train';
import * as trainNode from '@rwkv-ts/train/node';
import { expect, it } from 'vitest';

it('runs the example', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, example] = /```ts\n(import \{ createCpuBackend[\s\S]*?)```/.exec(readme)!;
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-train-readme-'));
  const book = join(folder, 'book');
  const smaller: readonly [RegExp, string][] = [
    [/^import .*$/gm, ''],
    [/\?: WindowPosition/g, ''],
    [/await using /g, 'const '],
    [/'book'/g, JSON.stringify(book)],
    [/'runs\/book'/g, JSON.stringify(join(folder, 'runs'))],
    [/layers: 6, channels: 256/, 'layers: 1, channels: 64'],
    [/context: 256/g, 'context: 16'],
    [/steps: 2000/, 'steps: 2'],
    [/evaluateEvery: 200/, 'evaluateEvery: 1'],
    [/sequences: 16/, 'sequences: 2'],
    [/samples: 32/, 'samples: 2'],
    [/console\.log/, 'tell'],
  ];
  const body = smaller.reduce((text, [from, to]) => {
    expect(text).toMatch(from);
    return text.replace(from, to);
  }, example!);
  const { createWindowStream, newConfig, newModel, splitHeldOut } = train;
  const given = {
    createCpuBackend: () => createReferenceBackend(),
    ...{ createWindowStream, newConfig, newModel, splitHeldOut, train: train.train },
    ...trainNode,
    tell: () => undefined,
  };
  const AsyncFunction = (async () => undefined).constructor as new (
    ...source: string[]
  ) => (...values: unknown[]) => Promise<train.RunReport>;
  try {
    const writer = await trainNode.createTokenFiles(book, { vocabularySize: 256 });
    const text = new TextEncoder().encode('In the beginning. '.repeat(100));
    await writer.add(text);
    writer.endDocument();
    await writer.close();
    const run = new AsyncFunction(...Object.keys(given), `${body}; return report;`);
    const report = await run(...Object.values(given));
    expect(report).toMatchObject({ outcome: 'finished', step: 2, evaluation: { samples: 2 } });
    expect(await readdir(join(folder, 'runs'))).toEqual(['step-000002']);
  } finally {
    await rm(folder, { recursive: true });
  }
});
