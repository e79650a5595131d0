import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { goldenFolder, goldenPath, goldenTitle, readJsonLines } from './golden.js';
import { runCli, runJson } from './run-cli.js';

const vocabulary = goldenPath('tokenizer', 'rwkv_vocab_v20230424.txt');

async function jsonLines(args: readonly string[], lines: readonly unknown[]): Promise<unknown[]> {
  const input = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  const { code, stdout, stderr } = await runCli(['tokenize', '--jsonl', ...args], { input });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line));
}

interface Vector {
  readonly text?: string;
  readonly hex?: string;
  readonly ids: readonly number[];
}

/** Text if the bytes are UTF-8, by Node's own decoder. */
function textOrHex(hex: string): string | { readonly hex: string } {
  const bytes = Buffer.from(hex, 'hex');
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? text : { hex };
}

describe.skipIf(goldenFolder === undefined)(goldenTitle('the World tokenizer'), () => {
  it.each(['strings.jsonl', 'bytes.jsonl'])('encodes %s as the official one', async (file) => {
    const vectors = readJsonLines<Vector>(goldenPath('tokenizer', file));
    expect(vectors.length).toBeGreaterThanOrEqual(80);
    const inputs = vectors.map(({ text, hex }) => text ?? { hex });
    const ids = vectors.map((vector) => vector.ids);
    expect(await jsonLines(['--tokenizer', vocabulary], inputs)).toEqual(ids);
    const counts = await jsonLines(['--tokenizer', vocabulary, '--count'], inputs);
    expect(counts).toEqual(ids.map(({ length }) => length));
    // And back, to text or hex by what the bytes are.
    expect(await jsonLines(['--tokenizer', vocabulary, '--decode'], ids)).toEqual(
      vectors.map(({ text, hex = '' }) => text ?? textOrHex(hex)),
    );
  });

  it('decodes decode.jsonl as the official one', async () => {
    const vectors = readJsonLines<Required<Vector>>(goldenPath('tokenizer', 'decode.jsonl'));
    const ids = vectors.map((vector) => vector.ids);
    expect(await jsonLines(['--tokenizer', vocabulary, '--decode'], ids)).toEqual(
      vectors.map(({ hex }) => textOrHex(hex)),
    );
  });

  it('reads files of any bytes', async () => {
    const path = goldenPath('tokenizer', 'corpus.country-names.txt');
    const args = ['tokenize', '--tokenizer', vocabulary];
    const { ids } = (await runJson([...args, '--file', path])) as { ids: number[] };
    const decoded = await runJson([...args, '--decode'], { input: JSON.stringify({ ids }) });
    expect(decoded).toEqual({ text: readFileSync(path, 'utf8') });
    const count = await runCli([...args, '--count'], { input: readFileSync(path) });
    expect(count.stdout).toBe(`${ids.length}\n`);
  });
});

describe('rwkv tokenize', () => {
  const bytes = ['tokenize', '--tokenizer', 'bytes'];

  it('takes text, pipes and escapes; gives ids and text', async () => {
    const [plain, json, piped, escaped, decoded] = await Promise.all([
      runCli([...bytes, '--text', 'hi']),
      runJson([...bytes, '--text', 'hi\\n']),
      runJson(bytes, { input: Uint8Array.of(0xff, 10) }),
      runJson([...bytes, '--escape', '--text', 'hi\\n']),
      runCli([...bytes, '--decode', '--text', '104 105']),
    ]);
    expect(plain).toEqual({ code: 0, stdout: '104 105\n', stderr: '' });
    expect(json).toEqual({ ids: [104, 105, 92, 110] });
    expect(piped).toEqual({ ids: [255, 10] });
    expect(escaped).toEqual({ ids: [104, 105, 10] });
    expect(decoded.stdout).toBe('hi\n');
  });

  it('knows the 20B vocabulary', async () => {
    expect(await runJson(['tokenize', '--tokenizer', '20b', '--text', 'hello world'])).toEqual({
      ids: [25521, 1533],
    });
  });

  it('splits lines at newlines only, and says which line is wrong', async () => {
    expect(await jsonLines(['--tokenizer', 'bytes'], ['\u2028', '', { hex: 'ff00' }])).toEqual([
      [0xe2, 0x80, 0xa8],
      [],
      [255, 0],
    ]);
    const [wrong, unknown] = await Promise.all([
      runCli([...bytes, '--jsonl'], { input: '"a"\n{"hex":"abc"}\n' }),
      runCli([...bytes, '--decode', '--text', '1,256', '--json']),
    ]);
    expect(wrong).toMatchObject({ code: 3, stdout: '[97]\n' });
    expect(wrong.stderr).toMatch(
      /^error: line 2: expected a JSON string or \{"hex":"…"\}, got .*\n$/,
    );
    expect(unknown.code).toBe(3);
    expect(JSON.parse(unknown.stdout)).toMatchObject({ error: { code: 'UNKNOWN_TOKEN' } });
  });
});
