import { describe, expect, it } from 'vitest';
import {
  cpuTable,
  javaScriptShare,
  outsideShare,
  peakOf,
  bandwidthOf,
  limitTable,
  operationTable,
  type OwnMeasured,
  throughput,
} from './cpu-report.js';
import type { ModelCost } from './model-cost.js';

const cost: ModelCost = {
  weightBytes: 200e6,
  rowBytes: 1e3,
  stateBytes: 1e6,
  bodyOperations: 150e6,
  headOperations: 50e6,
  mainFormat: 'f16',
};
const limits = [
  { test: 'read', instruction: 'huge pages', threads: 2, bytes: 1e9, values: [18] },
  { test: 'read', instruction: 'huge pages', threads: 2, bytes: 200e6, values: [20, 25, 30] },
  { test: 'f32', instruction: 'fma', threads: 2, bytes: 0, values: [200] },
  { test: 'bf16', instruction: 'dot', threads: 2, bytes: 0, values: [400, 100, 90] },
];
const settings = { file: '/m/0.1b.gguf', seconds: 1, backend: 'cpu', threads: 2 } as const;
const decode = { ...settings, kind: 'decode', batch: 1 } as const;
const profile = {
  steps: 10,
  stepMilliseconds: 98,
  operationMilliseconds: { linear: 150, wkv7: 30, add: 0 },
  prepareMilliseconds: 20,
};
const measured: OwnMeasured = {
  file: '0.1b',
  threads: 2,
  test: 'decode, batch 1',
  side: 'ours',
  job: decode,
  runs: [90, 100, 110].map((rate, round) => ({
    round,
    rate,
    loadSeconds: 0.5,
    peakBytes: 300e6,
    profile,
    milliseconds: 200,
    javaScriptMilliseconds: 3,
    profiledMilliseconds: 100,
  })),
};

describe('limits', () => {
  it('of arithmetic are the median of the rounds, the best of several ways, with that many threads', () => {
    expect(peakOf(limits, { tests: ['f32', 'bf16'], threads: 2 })).toBe(200);
    expect(peakOf(limits, { tests: ['f32'], threads: 1 })).toBeUndefined();
  });

  it('of reading are those of the nearest size', () => {
    expect(bandwidthOf(limits, { bytes: 190e6, threads: 2 })).toBe(25);
    expect(bandwidthOf(limits, { bytes: 3e9, threads: 2 })).toBe(18);
    expect(bandwidthOf(limits, { bytes: 190e6, threads: 1 })).toBeUndefined();
  });
});

describe('throughput', () => {
  it('of a batch reads the weights once and each state', () => {
    const job = { ...decode, batch: 4 };
    const { gigabytes, gigaOperations } = throughput({ job }, { cost, rate: 40 });
    expect(gigabytes).toBeCloseTo((10 * (200e6 + 4 * 1.001e6)) / 1e9, 12);
    expect(gigaOperations).toBeCloseTo((10 * 4 * 200e6) / 1e9, 12);
  });

  it('of a prompt computes the head once', () => {
    const job = { ...settings, kind: 'prefill', tokens: 512 } as const;
    const { gigaOperations } = throughput({ job }, { cost, rate: 1024 });
    expect(gigaOperations).toBeCloseTo((2 * (512 * 150e6 + 50e6)) / 1e9, 9);
  });
});

describe('tables', () => {
  it('relate a case to the limits', () => {
    const [, , row] = cpuTable([measured], { costs: new Map([['0.1b', cost]]), limits }).split(
      '\n',
    );
    const cells = row?.split('|').map((cell) => cell.trim());
    expect(cells?.slice(1, -1)).toEqual([
      '0.1b', '2', 'decode, batch 1', '100 [90.0–110; 3]', '20.1', '80 %', '20.0', '10 %', '1.5 %', '2.0 %', '0.50', '300',
    ]); // prettier-ignore
  });

  it('say that a case has no figure', () => {
    const failed = { ...measured, runs: [{ round: 0, failure: 'no addon' }] };
    expect(cpuTable([failed], { costs: new Map(), limits })).toContain('failed');
  });

  it('name the operations by their time, and are left out without a profile', () => {
    expect(operationTable([measured])).toContain('linear 75 %, wkv7 15 %, (prepare) 10 %');
    const runs = [{ round: 0, rate: 1 }];
    expect(operationTable([{ ...measured, runs }])).toBeUndefined();
    expect([javaScriptShare(runs), outsideShare(runs)]).toEqual([undefined, undefined]);
  });

  it('show the limits with their spread', () => {
    expect(limitTable(limits)).toMatch(
      /read, 200 MB +\| huge pages +\| +2 \| 25\.0 \[20\.0–30\.0; 3\]/,
    );
  });
});
