import { expect, test } from 'vitest';
import type { ModelResult, TestResult } from './measure.js';
import {
  absenceLine,
  deviceLine,
  engineLines,
  failureLines,
  limitLine,
  modelTable,
  releaseOf,
  speedTable,
} from './report.js';

const samples = (...rates: number[]) => rates.map((value, round) => ({ round, value }));
const decode = (tokens: number, ...rates: number[]): TestResult => ({
  kind: 'decode',
  tokens,
  rows: 'candidates',
  samples: samples(...rates),
  bytes: 5e6,
});
const model: ModelResult = {
  shape: '0.1b',
  format: 'f16',
  cost: {
    weightBytes: 1e9,
    rowBytes: 1e6,
    stateBytes: 9e6,
    bodyOperations: 3e9,
    headOperations: 1e9,
    mainFormat: 'f16',
  },
  loadSeconds: 2,
  weightBytes: 1e9,
  bytesLeft: 0,
  tests: [
    decode(1, 90, 100, 120),
    decode(10, 500, 500, 500),
    { kind: 'prefill', tokens: 1000, rows: 'logits', samples: samples(10_000), bytes: 7e6 },
    { ...decode(1024), failure: 'OUT_OF_MEMORY: the states need 9' },
  ],
};
const failed = { shape: '7.2b', format: 'f16', failure: 'OUT_OF_MEMORY: too little' } as const;
const limits = { copyBytesPerSecond: 202e9, matrixFlopsPerSecond: 100e12 };
const auto = { limits, sparse: 'auto' } as const;
const cells = (line: string | undefined): string[] =>
  (line ?? '')
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

test('each test is a line with its shares of the limits; dense bytes are marked', () => {
  const [table = '', note] = speedTable([model, failed], auto);
  const [, , one, ten, prompt, full, ...rest] = table.split('\n');
  expect(rest).toEqual([]);
  expect(cells(one)).toEqual(
    ['0.1b', 'f16', 'candidates', 'decode 1', '100 [90.0–120; 3]'].concat(
      ['10.0', '1.01', '50 %*', '0.40', '0.4 %', '5'], // 1.01e9 bytes and 4e9 operations, 100 times a second.
    ),
  );
  // 1e9 bytes of weights and ten times 1e7, fifty times a second; 4e10 operations.
  expect(cells(ten).slice(5)).toEqual(['20.0', '1.10', '27 %', '2.00', '2.0 %', '5']);
  // 1e9 + 1000 · 1e6 + 9e6 bytes, and 3e12 + 1e9 operations, ten times a second.
  expect(cells(prompt).slice(3)).toEqual([
    'prefill 1000',
    '10000 [10000–10000; 1]',
    '100',
    '2.01',
    '9.9 %',
    '30.0',
    '30 %',
    '7',
  ]);
  expect(cells(full).slice(3, 5)).toEqual(['decode 1024', 'OUT_OF_MEMORY']);
  expect(note).toContain('relu²');
});

test('nothing is marked where matrices are read whole, and no share is told without limits', () => {
  expect(speedTable([model], { limits, sparse: 'never' }).length).toBe(1);
  expect(speedTable([{ ...model, format: 'q8_0' }], auto).length).toBe(1);
  const [table = ''] = speedTable([model], { limits: undefined, sparse: 'never' });
  expect(cells(table.split('\n')[2]).slice(7, 10)).toEqual(['–', '0.40', '–']);
});

test('a peer is a column, with ratios within rounds', () => {
  const theirs = { 'decode 1': samples(100, 50), 'decode 7': samples(1) };
  const peer = { engine: 'another', samples: theirs, failures: ['ended with 3'] };
  const [table = ''] = speedTable([{ ...model, peer }], auto);
  const [head, , one, ten] = table.split('\n');
  expect(cells(head).slice(-2)).toEqual(['peer', 'ratio']);
  expect(cells(one).slice(-2)).toEqual(['75.0 [50.0–100; 2]', '1.45 [0.90–2.00; 2]']);
  expect(cells(ten).slice(-2)).toEqual(['–', '–']);
  expect(engineLines([{ ...model, peer }, { ...model, peer }, failed])).toEqual(['Peer: another.']);
  expect(failureLines([{ ...model, peer }]).at(-1)).toBe('- 0.1b f16, peer: ended with 3');
});

test('a model is a line, and what failed is told in words', () => {
  const [, , loaded, bad] = modelTable([model, failed]).split('\n');
  expect(cells(loaded)).toEqual(['0.1b', 'f16', '2.00', '0.50', '1000', '0']);
  expect(cells(bad).slice(0, 3)).toEqual(['7.2b', 'f16', 'failed']);
  expect(failureLines([model, failed])).toEqual([
    '- 0.1b f16, decode 1024: OUT_OF_MEMORY: the states need 9',
    '- 7.2b f16: OUT_OF_MEMORY: too little',
  ]);
});

test('a missing PyTorch is told', () => {
  expect(absenceLine('python3: none.')).toBe('No PyTorch beside it: python3: none.');
  expect(absenceLine('python3: none')).toBe('No PyTorch beside it: python3: none.');
});

test('the device and its limits are named', () => {
  expect(limitLine(limits)).toMatch(/copies within the device 202 GB\/s.* 100 TFLOP\/s/);
  const device = {
    ordinal: 0,
    name: 'A Card',
    computeCapability: '9.0',
    driverVersion: '13.0',
    multiprocessors: 132,
    memoryBytes: 8e10,
  };
  expect(deviceLine(device, '580.1.2')).toBe(
    'Device: **A Card**, compute capability 9.0, 132 multiprocessors, 80.0 GB; driver 580.1.2, CUDA 13.0.',
  );
  expect(deviceLine(device, undefined)).toContain('80.0 GB; CUDA 13.0.');
});

test.each([
  ['NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19', '535.104.05'],
  ['NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release', '580.65.06'],
  ['something else', undefined],
])('the release of %j', (text, release) => {
  expect(releaseOf(text)).toBe(release);
});
