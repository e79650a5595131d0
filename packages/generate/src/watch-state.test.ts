import { expect, it } from 'vitest';
import { FakeModel, hashNext } from '../test/fake-model.js';
import { testTokenizer } from '../test/test-tokenizer.js';
import { Model } from './model.js';
import type { ReadState } from './options.js';

const tokenizer = testTokenizer();
const V = tokenizer.vocabularySize;
const open = (slots: number): Promise<Model> =>
  Model.create({
    languageModel: new FakeModel({ vocabularySize: V, next: hashNext(V) }),
    tokenizer,
    slots,
  });

it('a text’s state can be read while it is made, and not afterwards', async () => {
  await using model = await open(2);
  let readState: ReadState | undefined;
  const seen: number[][] = [];
  const options = {
    maxTokens: 6,
    temperature: 0,
    ignoreEndOfText: true,
    onStart: (read: ReadState) => (readState = read),
  };
  const made: number[] = [];
  const other = model.generate([7, 8], { maxTokens: 6, temperature: 0, ignoreEndOfText: true });
  for await (const { token } of model.stream([3, 4], options)) {
    if (token !== undefined) made.push(token);
    const history = (await readState!())?.get('history');
    if (history !== undefined) seen.push([...history.subarray(1, 1 + history[0]!)]);
  }
  await other;
  expect(seen.length).toBeGreaterThan(0);
  // Whatever step the reading fell between, it is this text's own past.
  for (const history of seen) expect([3, 4, ...made].slice(0, history.length)).toEqual(history);
  expect(await readState!()).toBeUndefined();
});

it('a slot that another text took over is not read', async () => {
  await using model = await open(1);
  const readers: ReadState[] = [];
  const onStart = (read: ReadState): void => {
    readers.push(read);
  };
  const stop = new AbortController();
  const first = model.generate([3], { maxTokens: 500, onStart, signal: stop.signal });
  await new Promise((resolve) => setTimeout(resolve, 5));
  stop.abort();
  await first;
  const second = model.stream([9], { maxTokens: 3, ignoreEndOfText: true, onStart });
  await second.next();
  expect(readers).toHaveLength(2);
  expect(await readers[0]!()).toBeUndefined();
  await second.return();
});
