/**
 * The example of the README, run as it stands there on the demonstration model, but for the backend: this package must
 * not need a native one, so the reference stands in for it.
 */
import { readFile } from 'node:fs/promises';
import { demoModel } from '@rwkv-ts/demo-model';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { expect, it } from 'vitest';
import * as generate from '../src/index.js';

interface Results {
  text: string;
  answer: string;
  model: generate.Model;
  backend: ReturnType<typeof createReferenceBackend>;
}

it('runs the example', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, example] = /```ts\n([\s\S]*?)```/.exec(readme)!;
  const body = example!
    .replace(/^import \{ (.*) \} from '@rwkv-ts\/generate';$/m, 'const { $1 } = generate;')
    .replace(/^import \{ (.*) \} from '@rwkv-ts\/backend-cpu';.*$/m, 'const { $1 } = backends;')
    .replaceAll('await using ', 'const ');
  const AsyncFunction = (async () => undefined).constructor as new (
    ...source: string[]
  ) => (...values: unknown[]) => Promise<Results>;
  const run = new AsyncFunction(
    'generate',
    'backends',
    'source',
    'write',
    `${body}; return { text, answer, model, backend };`,
  );
  const written: string[] = [];
  const { text, answer, model, backend } = await run(
    generate,
    { createCpuBackend: createReferenceBackend },
    demoModel.url,
    (part: string) => written.push(part),
  );
  expect(text).toHaveLength(20);
  expect(written.join('')).not.toContain('.');
  expect(answer.length).toBeLessThanOrEqual(30);
  await model[Symbol.asyncDispose]();
  expect(backend.bytes).toBe(0);
  await backend[Symbol.asyncDispose]();
});
