/** `rwkv prepare`. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTokenFiles } from '@rwkv-ts/train/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenFolder, goldenPath, goldenTitle } from './golden.js';
import { runCli, runJson } from './run-cli.js';

let folder = '';
const path = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-prepare-'));
});
afterAll(() => rm(folder, { recursive: true }));

const bytes = ['--tokenizer', 'bytes'];

async function textsOf(prefix: string): Promise<string[]> {
  await using data = await openTokenFiles(path(prefix));
  const texts: string[] = [];
  for (let at = 0; at < data.documents; at++) {
    const { offset, length } = await data.document(at);
    texts.push(Buffer.from(await data.read(offset, length)).toString('utf8'));
  }
  return texts;
}

describe('rwkv prepare', () => {
  it('writes token files of texts and JSONL, with masks', async () => {
    await writeFile(path('a.txt'), 'one\ntwo');
    await writeFile(path('b.jsonl'), '{"prompt":"1+1=","completion":"2"}\n"x"\n');
    const args = ['prepare', path('a.txt'), path('b.jsonl'), ...bytes, '--end-of-document', '10'];
    const result = await runJson([...args, '--output', path('mixed')]);
    const files = ['.bin', '.idx', '.mask.bin', '.mask.idx'].map((end) => path(`mixed${end}`));
    expect(result).toEqual({
      bytes: 7 + 39,
      training: { files, type: 'uint8', tokens: 16, documents: 3, learned: 12 },
    });
    expect(await textsOf('mixed')).toEqual(['one\ntwo\n', '1+1=2\n', 'x\n']);
    expect(await readFile(path('mixed.bin'), 'utf8')).toBe('one\ntwo\n1+1=2\nx\n');
    expect([...(await readFile(path('mixed.mask.bin')))].join('')).toBe('1111111100001111');
    const shown = await runCli([...args, '-o', path('mixed.idx'), '--force', '--context', '2']);
    expect(shown.stdout).toBe(
      `${files.join(', ')}: 16 tokens, 12 of them learned, 3 documents, uint8\n` +
        '--my_exit_tokens 16 --magic_prime 5 --ctx_len 2\n',
    );
  });

  it('holds a share out, and takes a pipe', async () => {
    const lines = Array.from({ length: 40 }, (_, at) => `"line ${at}"`).join('\n');
    const result = await runJson(
      ['prepare', '-', '--format', 'jsonl', ...bytes, '-o', path('split'), '--held-out', '0.1'],
      { input: lines },
    );
    expect(result).toMatchObject({
      training: { documents: 36 },
      heldOut: { documents: 4, files: [path('split.held-out.bin'), path('split.held-out.idx')] },
    });
    const all = [...(await textsOf('split')), ...(await textsOf('split.held-out'))];
    expect(all.sort()).toEqual(Array.from({ length: 40 }, (_, at) => `line ${at}`).sort());
    await runJson(
      ['prepare', '-', '--separator', '\\n', '--escape', ...bytes, '-o', path('lines')],
      { input: 'a\nb\n\nc' },
    );
    expect(await textsOf('lines')).toEqual(['a', 'b', 'c']);
  });

  it('says what is wrong, and leaves nothing behind', async () => {
    await writeFile(path('binary.txt'), Uint8Array.of(0xff, 0xfe, 0));
    await writeFile(path('broken.jsonl'), '"fine"\n{"text":\n');
    await writeFile(path('taken.idx'), 'mine');
    const before = (await readdir(folder)).sort();
    const run = (...args: string[]) => runCli(['prepare', ...args, ...bytes]);
    const [binary, broken, taken, missing, pipe, token, none] = await Promise.all([
      run(path('binary.txt'), '-o', path('out1')),
      run(path('broken.jsonl'), '-o', path('out2')),
      run(path('broken.jsonl'), '-o', path('taken')),
      run(path('absent.txt'), '-o', path('out3')),
      run('-', '-o', path('out4'), '--held-out', '0.1'),
      run(path('binary.txt'), '-o', path('out5'), '--end-of-document', '256'),
      run(path('binary.txt')),
    ]);
    expect([binary, broken, taken, missing].map(({ code }) => code)).toEqual([3, 3, 3, 3]);
    expect(binary.stderr).toMatch(/binary\.txt is not UTF-8 text/);
    expect(broken.stderr).toMatch(/broken\.jsonl: line 2 is not JSON: \{"text":/);
    expect(taken.stderr).toBe(`error: ${path('taken.idx')} exists already; --force replaces it.\n`);
    expect(missing.stderr).toMatch(/absent\.txt: no such file/);
    expect([pipe, token, none].map(({ code }) => code)).toEqual([2, 2, 2]);
    expect(pipe.stderr).toMatch(/cannot be held out of standard input/);
    expect(token.stderr).toMatch(/the bytes tokenizer has the ids 0 to 255/);
    expect((await readdir(folder)).sort()).toEqual(before);
    expect(await readFile(path('taken.idx'), 'utf8')).toBe('mine');
  });

  it.skipIf(process.platform === 'win32')('ends at Ctrl-C without a half file', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'rwkv-cli-prepare-'));
    try {
      const result = await runCli(
        ['prepare', '-', ...bytes, '-o', 'out', '--held-out', '0.1', '--separator', '|'],
        {
          cwd: empty,
          input: { open: true },
          interruptAtFile: '.part',
        },
      );
      expect(result).toMatchObject({ code: 130, stdout: '' });
      expect(await readdir(empty)).toEqual([]);
    } finally {
      await rm(empty, { recursive: true });
    }
  });
});

describe.skipIf(goldenFolder === undefined)(goldenTitle('rwkv prepare with World'), () => {
  it('gives the tokens of the whole text and the end of text', async () => {
    const vocabulary = goldenPath('tokenizer', 'rwkv_vocab_v20230424.txt');
    const text = goldenPath('tokenizer', 'corpus.country-names.txt');
    const choice = ['--tokenizer', vocabulary];
    await runJson(['prepare', text, text, ...choice, '-o', path('names')]);
    const { ids } = (await runJson(['tokenize', ...choice, '--file', text])) as { ids: number[] };
    await using data = await openTokenFiles(path('names'), { vocabularySize: 65536 });
    expect(data).toMatchObject({ type: 'uint16', documents: 2, tokens: 2 * (ids.length + 1) });
    expect([...(await data.read(0, ids.length + 1))]).toEqual([...ids, 0]);
  });
});
