/** The example of the README, run as it stands there on the demonstration model. */
import { readFile } from 'node:fs/promises';
import { demoModel } from '@rwkv-ts/demo-model';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { expect, it } from 'vitest';
import * as generate from '../src/index.js';

it('runs the example', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, example] = /```ts\n([\s\S]*?)```/.exec(readme)!;
  const body = example!
    .replace(/^import \{ (.*) \} from '@rwkv-ts\/generate';$/m, 'const { $1 } = generate;')
    .replace('await using model =', 'const model =');
  const AsyncFunction = (async () => undefined).constructor as new (
    ...source: string[]
  ) => (...values: unknown[]) => Promise<{ text: string; answer: string; model: generate.Model }>;
  const run = new AsyncFunction(
    'generate',
    'source',
    'backend',
    'write',
    `${body}; return { text, answer, model };`,
  );
  await using backend = createReferenceBackend();
  const written: string[] = [];
  const { text, answer, model } = await run(generate, demoModel.url, backend, (part: string) =>
    written.push(part),
  );
  expect(text).toHaveLength(20);
  expect(written.join('')).not.toContain('.');
  expect(answer.length).toBeLessThanOrEqual(30);
  await model[Symbol.asyncDispose]();
  expect(backend.bytes).toBe(0);
});
