import { describe, expect, it } from 'vitest';
import type { Measured } from './cases.js';
import { bestTable, compareTable, enginesOf, ourSide, type Side } from './compare-report.js';

function measured(side: Side, rates: readonly number[], test = 'decode'): Measured<Side> {
  return {
    file: '0.1b.f16',
    threads: 1,
    test,
    side,
    job: { kind: 'command', command: [] },
    runs: rates.map((rate, round) => ({ round, rate, engine: `${side} 1.0` })),
  };
}

describe('compareTable', () => {
  it('divides round by round', () => {
    const text = compareTable([
      measured('run', [30, 60, 40]),
      measured('llama-bench', [20, 20, 20]),
    ]);
    const [, , row] = text.split('\n');
    expect(row).toContain('| 20.0 [20.0–20.0; 3] |');
    expect(row).toContain('40.0 [30.0–60.0; 3] (run)');
    expect(row).toContain('2.00 [1.50–3.00; 3]');
    expect(text.split('\n')).toHaveLength(3);
  });

  it('sets generate beside node-llama-cpp, but not for prompts', () => {
    expect(ourSide('node-llama-cpp', 'decode')).toBe('generate');
    expect(ourSide('node-llama-cpp', 'prefill 512')).toBe('run');
    expect(ourSide('llama-batched-bench', 'batch 16')).toBe('run');
  });

  it('has no ratio where a side has no figure', () => {
    const failed = { ...measured('llama-bench', []), runs: [{ round: 0, failure: 'not found' }] };
    expect(compareTable([measured('run', [30]), failed])).toMatch(/– \| 30.* \| +– \|$/);
    expect(compareTable([measured('llama-bench', [30])])).toContain('– (run)');
  });
});

describe('bestTable', () => {
  it('gives each side the threads that suit it best', () => {
    const two = (each: Measured<Side>): Measured<Side> => ({ ...each, threads: 2 });
    const cases = [
      measured('run', [30]),
      two(measured('run', [60])),
      measured('llama-bench', [20]),
      two(measured('llama-bench', [10])),
    ];
    const [, , row, ...rest] = bestTable(cases).split('\n');
    expect(row).toContain('20.0 (1 threads) | 60.0 (2 threads) |  3.00 |');
    expect(rest).toEqual([]);
  });
});

describe('enginesOf', () => {
  it('names each once', () => {
    expect(enginesOf([measured('run', [1, 2]), measured('llama-bench', [1])])).toEqual([
      'llama-bench: llama-bench 1.0',
      'run: run 1.0',
    ]);
  });
});
