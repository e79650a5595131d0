import { expect, test } from 'vitest';
import { parsePeer, runPeer } from './peer.js';

const task = { shape: '0.1b', format: 'f16', batch: [1, 8], prefill: [512], seconds: 2 } as const;
const node = (program: string): string[] => [process.execPath, '-e', program, '--'];

test('reads the lines that are measurements, and leaves out everything else', () => {
  const output = [
    'loading …',
    '{"engine":"another 1.0"}',
    '{"test":"decode 1","rate":150.5}',
    '  {"test":"prefill 512","rate":9000,"more":true}',
    '{"test":"decode 8","rate":0}',
    '{"test":"decode 9","rate":"fast"}',
    '{"test":"decode 10","rate":1e999}',
    '{"test":"decode 11",',
    '["test"]',
  ].join('\n');
  expect(parsePeer(output)).toEqual({
    engine: 'another 1.0',
    rates: new Map([
      ['decode 1', 150.5],
      ['prefill 512', 9000],
    ]),
  });
  expect(parsePeer('')).toEqual({ rates: new Map() });
});

test('a program is told the model and the tests', async () => {
  const program = `console.log(JSON.stringify({ engine: process.argv.slice(1).join(' ') }));
    console.log('{"test":"decode 8","rate":80}');`;
  const { engine, rates, failure } = await runPeer(node(program), task);
  expect(failure).toBeUndefined();
  const [before = '', after = ''] = (engine ?? '').split(/\{.*\}/);
  expect([before, after]).toEqual([
    '--shape 0.1b --config ',
    ' --format f16 --batch 1,8 --prefill 512 --seconds 2',
  ]);
  const config: unknown = JSON.parse((engine ?? '').slice(before.length, -after.length));
  expect(config).toMatchObject({ version: '7', layers: 12, channels: 768, heads: 12 });
  expect([...rates]).toEqual([['decode 8', 80]]);
});

test('a program that ends badly, or is none, is a failure in words', async () => {
  const program = `console.log('{"test":"decode 8","rate":80}');
    console.error('no memory'); process.exitCode = 3;`;
  const ended = await runPeer(node(program), task);
  expect(ended.failure).toMatch(/ended with 3: no memory$/);
  expect(ended.rates.size).toBe(0);
  expect((await runPeer(['/nowhere/peer'], task)).failure).toContain('/nowhere/peer');
});
