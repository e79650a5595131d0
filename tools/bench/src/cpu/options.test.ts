import { describe, expect, it } from 'vitest';
import { readOptions, UsageError } from './options.js';

const read = (text: string) => readOptions(text.split(' '), { cores: 4 });

describe('readOptions', () => {
  it('has defaults for each command', () => {
    expect(read('cpu')).toMatchObject({
      threads: [1, 4],
      batch: [1, 4, 16, 32],
      prefill: [32, 512, 4096],
      formats: ['f16', 'q8_0', 'q4_0'],
      wrap: [],
    });
    expect(read('compare a.gguf')).toMatchObject({
      batch: [1, 16],
      prefill: [512],
      files: ['a.gguf'],
    });
    expect(readOptions(['machine'], { cores: 1 })?.threads).toEqual([1]);
  });

  it('takes lists, leaves tests out for an empty one, and shows help', () => {
    const options = readOptions(['cpu', '--batch', '', '--wrap', 'flock  f x'], { cores: 2 });
    expect(options).toMatchObject({ batch: [], wrap: ['flock', 'f', 'x'] });
    expect(read('cpu --threads 1,3')?.threads).toEqual([1, 3]);
    expect(read('--help')).toBeUndefined();
  });

  it.each([
    '', 'fast', 'cpu --threads 0', 'cpu --batch 1,x', 'cpu --seconds 0', 'cpu --backend gpu', 'cpu --no-such',
  ])('refuses %j', (text) => {
    expect(() => read(text)).toThrow(UsageError);
  }); // prettier-ignore
});
