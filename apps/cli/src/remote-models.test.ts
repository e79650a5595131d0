import { expect, it } from 'vitest';
import { UsageError } from './failure.js';
import { downloadProgress, hubAccess } from './remote-models.js';

it('the hub is what the environment says', () => {
  expect(hubAccess({})).toEqual({});
  expect(hubAccess({ HF_TOKEN: '', HF_ENDPOINT: '' })).toEqual({});
  expect(hubAccess({ HF_TOKEN: ' hf_a1\n', HF_ENDPOINT: 'https://hub.example//' })).toEqual({
    token: 'hf_a1',
    hubUrl: 'https://hub.example',
  });
});

it.each([
  { HF_TOKEN: 'secret' },
  { HF_TOKEN: 'hf_a b' },
  { HF_ENDPOINT: 'hub.example' },
  { HF_ENDPOINT: 'file:///x' },
])('%o is a mistake, and no token is shown', (environment) => {
  expect(() => hubAccess(environment)).toThrow(UsageError);
  expect(() => hubAccess(environment)).not.toThrow(/secret/);
});

it('each thing is said once', () => {
  const notes: string[] = [];
  const bars: number[] = [];
  const terminal = {
    note: (text: string) => notes.push(text),
    progress: () => ({
      isShown: true,
      update: (done: number) => bars.push(done),
      [Symbol.dispose]: () => undefined,
    }),
  };
  using progress = downloadProgress({ location: '/models' }, terminal);
  const file = 'a.pth';
  progress.tell({ phase: 'wait', file, done: 0, total: 0 });
  progress.tell({ phase: 'wait', file, done: 0, total: 0 });
  progress.tell({ phase: 'download', file: 'config.json', done: 1, total: 100 });
  for (const done of [1, 2]) progress.tell({ phase: 'download', file, done, total: 5 * 2 ** 20 });
  expect(notes).toEqual([
    'waiting: another process is downloading a.pth',
    'downloading 5.00 MiB into /models',
  ]);
  expect(bars).toEqual([1, 1, 2]);
});
