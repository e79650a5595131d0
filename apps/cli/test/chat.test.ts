import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-chat-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function chat(lines: readonly string[], args: readonly string[] = []) {
  const input = lines.map((line) => `${line}\n`).join('');
  const result = await runCli(['chat', '--seed', '1', '-n', '20', ...args], { input });
  expect(result.code).toBe(0);
  return { notes: result.stderr.trimEnd().split('\n'), output: result.stdout };
}

describe('rwkv chat', () => {
  it('answers every line, the same for the same seed', async () => {
    const [once, twice] = await Promise.all([chat(['Hello', 'Who?']), chat(['Hello', '', 'Who?'])]);
    expect(once.output.length).toBeGreaterThan(10);
    expect(once.notes).toEqual(['']);
    expect(twice.output).toBe(once.output);
  });

  it('takes back, forgets and answers anew', async () => {
    const { output, notes } = await chat(
      ['/undo', '/regenerate', 'Hello', '/regenerate', '/history', '/undo', '/history', '/reset'],
      ['--system', 'Be\\nbrief.', '--escape'],
    );
    const at = output.indexOf('system: Be\nbrief.\nuser: Hello\nassistant:');
    expect(at).toBeGreaterThan(20);
    const answers = output.slice(0, at);
    const last = output.slice(at).match(/assistant: ([^]*)system: Be\nbrief\.\n$/)?.[1] ?? '';
    // Both answers stand before the history, which keeps the second; they differ although there is a seed.
    expect(answers.endsWith(last)).toBe(true);
    expect(answers.slice(0, -last.length)).not.toBe(last);
    expect(notes).toEqual([
      'there is nothing to take back.',
      'there is no answer to replace yet.',
      'taken back',
      'forgotten',
    ]);
  });

  it('forks, and switches between the branches', async () => {
    const { output, notes } = await chat([
      'Hello',
      '/fork b',
      'More',
      '/switch main',
      '/history',
      '/switch',
      '/switch c',
      '/fork b',
      '/fork',
    ]);
    expect(output.match(/^user: /gm)).toHaveLength(1);
    expect(notes).toEqual([
      'now in b; /switch goes back.',
      'conversations: main, b',
      'there is no conversation c; there are: main, b',
      'there is already a conversation b; /switch b goes there.',
      'usage: /fork NAME',
    ]);
  });

  it('goes on from a saved conversation as if it had never stopped', async () => {
    const file = join(folder, 'talk.state');
    const whole = await chat(['Hello', 'And then?', '/history']);
    const first = await chat(['Hello', `/save ${file}`]);
    expect(first.notes[0]).toMatch(/talk\.state: \d+ bytes$/);
    const [loaded, inside] = await Promise.all([
      chat(['And then?', '/history'], ['--load', file]),
      chat(['Other', `/load ${file}`, 'And then?', '/history']),
    ]);
    const history = (output: string): string => output.slice(output.indexOf('user: Hello'));
    expect(first.output + loaded.output).toBe(whole.output);
    expect(history(inside.output)).toBe(history(whole.output));
  });

  it('tells mistakes and goes on', async () => {
    const missing = join(folder, 'none', 'x');
    const { notes, output } = await chat([
      '/nope',
      '/save',
      `/save ${missing}`,
      `/load ${missing}`,
      '/help',
      '/exit',
      'not read any more',
    ]);
    expect(notes).toEqual([
      'there is no /nope; /help lists the commands.',
      'usage: /save FILE',
      expect.stringMatching(/none.x: there is no folder .*none; make it first\.$/),
      expect.stringMatching(/none.x: no such file$/),
    ]);
    expect(output).toMatch(/^\/help +this list\n(\/.*\n)+$/);
  });
});
