import { describe, expect, test } from 'vitest';
import type { ModelResult, TestResult } from './measure.js';
import { type PlotOptions, plotSubtitle, speedPlots } from './plots.js';

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
    decode(100, 9000),
    decode(1, 90, 100, 120),
    { ...decode(1, 7), rows: 'logits' },
    { ...decode(1024), failure: 'OUT_OF_MEMORY' },
    { kind: 'prefill', tokens: 1000, rows: 'logits', samples: samples(10_000), bytes: 7e6 },
  ],
};
const failed = { shape: '7.2b', format: 'f16', failure: 'OUT_OF_MEMORY: too little' } as const;
const options: PlotOptions = {
  limits: { copyBytesPerSecond: 202e9, matrixFlopsPerSecond: 100e12 },
  subtitle: 'A Card; 2026-01-02',
};

const textsOf = (svg: string): string[] =>
  [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text = '']) => text);

/** Numbers of the longest path of a colour: the line over all its points. */
function lineOf(svg: string, color: string): number[] {
  const paths = [...svg.matchAll(/<path d="([^"]+)"[^>]*fill="none"[^>]*stroke="([^"]+)"/g)];
  const own = paths.filter(([, , stroke]) => stroke === color).map(([, path = '']) => path);
  const numbers = own.map((path) => (path.match(/-?\d+(\.\d+)?/g) ?? []).map(Number));
  return numbers.toSorted((a, b) => b.length - a.length)[0] ?? [];
}

describe('speedPlots', () => {
  test('shows decode of each shape and prefill of all, with what bounds them', () => {
    const plots = speedPlots([model, { ...model, shape: '0.4b' }, failed], options);
    const files = plots.map(({ file }) => file);
    expect(files).toEqual(['cuda-decode-0.1b.svg', 'cuda-decode-0.4b.svg', 'cuda-prefill.svg']);
    const [first, , prefill] = plots.map(({ svg }) => textsOf(svg));
    const said = ['Decode, RWKV-7 0.1b', 'A Card; 2026-01-02', 'f16', 'f16, copy bandwidth'];
    expect(first).toEqual(expect.arrayContaining(said));
    const columns = ['0.1b, 1000', '0.4b, 1000', 'matrix units', 'A Card; 2026-01-02'];
    expect(prefill).toEqual(expect.arrayContaining(columns));
  });

  test('the limit is the bytes of a step at the speed of copies, over all batches that were tried', () => {
    // 1.01e9 bytes for one token, 2e9 for 100, 11.24e9 for 1024: 200, 10 100 and 18 402 tokens/s.
    const [plot] = speedPlots([model], options);
    const drawn = lineOf(plot!.svg, '#0072b2');
    const heights = drawn.filter((_, index) => index % 2 === 1);
    expect(heights.length).toBe(3);
    const decadesBetween = (one: number, other: number): number => Math.log10(other / one);
    const [first = 0, second = 0, third = 0] = heights;
    const expected = decadesBetween(200, 10_100) / decadesBetween(10_100, 18_402);
    expect((second - first) / (third - second) / expected).toBeCloseTo(1, 1);
  });

  test('has no limits where none were measured', () => {
    const plots = speedPlots([model], { ...options, limits: undefined });
    const texts = plots.flatMap(({ svg }) => textsOf(svg));
    expect(plots.length).toBe(2);
    expect(texts.some((text) => /bandwidth|matrix units/.test(text))).toBe(false);
  });

  test('a peer is a line and bars of its own', () => {
    const theirs = { 'decode 1': samples(50), 'decode 100': samples(4000) };
    const both = { ...theirs, 'prefill 1000': samples(5000) };
    const peer = { engine: 'PyTorch 2.9, plain', samples: both, failures: [] };
    const plots = speedPlots([{ ...model, peer }], options);
    for (const { svg } of plots) expect(textsOf(svg)).toContain('f16, PyTorch 2.9');
    expect(lineOf(plots[0]!.svg, '#d55e00').length).toBe(4);
  });

  test('nothing measured is no plot', () => {
    expect(speedPlots([failed], options)).toEqual([]);
    expect(speedPlots([{ ...model, tests: [] }], options)).toEqual([]);
  });
});

test('a subtitle names the card, the driver and the date', () => {
  const device = {
    ordinal: 0,
    name: 'A Card',
    computeCapability: '9.0',
    driverVersion: '13.0',
    multiprocessors: 132,
    memoryBytes: 8e10,
  };
  const date = '2026-01-02';
  const known = plotSubtitle(device, { release: '580.1', date });
  expect(known).toBe('A Card, driver 580.1, CUDA 13.0; 2026-01-02');
  expect(plotSubtitle(device, { release: undefined, date })).toBe('A Card, CUDA 13.0; 2026-01-02');
});
