import { expect, test } from 'vitest';
import type { ModelResult, StepCost } from './measure.js';
import { bandwidthLine, failureLines, speedTable, stepTable } from './report.js';

const step: StepCost = {
  rows: 'logits',
  calls: {
    dispatches: 101,
    pipelines: 77,
    bindGroups: 102,
    passes: 1,
    copies: 1,
    submits: 1,
    writes: 1,
    uploadedBytes: 92,
    readBytes: 262_144,
  },
  dispatchesPerLayer: 101 / 12,
  runMilliseconds: 0.25,
  submitMilliseconds: 0.125,
  encodingMilliseconds: 0.5,
  rowsMilliseconds: 0.04,
  threadMilliseconds: 3,
  stepMilliseconds: 4,
};
const model: ModelResult = {
  shape: '0.1b',
  format: 'f16',
  backend: 'webgpu',
  fallbacks: [],
  cost: {
    weightBytes: 1e9,
    rowBytes: 1e6,
    stateBytes: 9e6,
    bodyOperations: 0,
    headOperations: 0,
    mainFormat: 'f16',
  },
  loadSeconds: 2,
  bufferBytes: 5e8,
  backendBytes: 5e8,
  bytesLeft: 0,
  steps: [step],
  speeds: [
    { test: 'decode 1', rows: 'logits', tokens: 1, rate: 100, queuedRate: 120 },
    { test: 'decode 10', rows: 'logits', tokens: 10, rate: 500 },
    { test: 'prefill 512', rows: 'logits', tokens: 512, rate: 9000 },
  ],
};
const failed = { shape: '7.2b', format: 'f16', failure: 'too little memory' } as const;
const cells = (line: string | undefined): string[] =>
  (line ?? '').split('|').map((cell) => cell.trim());

test('a step is a line of what was counted and timed; what failed is a line that says so', () => {
  const [, , line, bad] = stepTable([model, failed]).split('\n');
  expect(cells(line).slice(1, 15)).toEqual(
    '0.1b f16 logits 101 8.42 77 102 1 92 262144 0.25 0.13 0.50 0.04'.split(' '),
  );
  expect(cells(bad).slice(1, 4)).toEqual(['7.2b', 'f16', 'failed']);
  expect(failureLines([model, failed])).toEqual(['- 7.2b f16: too little memory']);
});

test('the share is what a decode step must read over the bandwidth', () => {
  const bandwidth = { copy: 202e9, read: 300e9, bufferBytes: 1e8 };
  const [, , one, ten, prompt] = speedTable([model, failed], bandwidth).split('\n');
  expect(cells(one).slice(4, 8)).toEqual(['decode 1', '100', '120', '50 %']);
  // 1e9 bytes of weights and ten times 1e7, fifty times a second.
  expect(cells(ten).slice(4, 8)).toEqual(['decode 10', '500', '–', '27 %']);
  expect(cells(prompt).slice(4, 8)).toEqual(['prefill 512', '9000', '–', '–']);
  expect(cells(speedTable([model], undefined).split('\n')[2])[7]).toBe('–');
  expect(bandwidthLine(bandwidth)).toContain('copy 202 GB/s');
});
