import { describe, expect, test } from 'vitest';
import { readOptions, UsageError } from './options.js';

describe('readOptions', () => {
  test('has defaults for everything', () => {
    expect(readOptions(['speed'])).toMatchObject({
      command: 'speed',
      shapes: ['0.1b', '0.4b', '1.5b', '2.9b', '7.2b'],
      formats: ['f16', 'q8_0', 'q4_0'],
      batch: [1, 8, 64],
      prefill: [512],
      steps: 50_000,
      cycles: 20,
      dawn: [],
      bandwidth: true,
    });
  });

  test('reads lists, words for Dawn, and no prompts', () => {
    const words = ['--dawn', 'backend=vulkan adapter=X', '--prefill', '0', '--batch', '2,3'];
    const options = readOptions(['speed', ...words, '--no-bandwidth']);
    expect(options).toMatchObject({
      dawn: ['backend=vulkan', 'adapter=X'],
      prefill: [],
      batch: [2, 3],
      bandwidth: false,
    });
  });

  test('gives nothing where help was asked for', () => {
    expect(readOptions(['--help'])).toBeUndefined();
  });

  test.each([
    [[]],
    [['fly']],
    [['speed', 'soak']],
    [['speed', '--shapes', '9b']],
    [['speed', '--formats', 'f8']],
    [['speed', '--batch', '0']],
    [['speed', '--seconds', '0']],
    [['soak', '--steps', 'many']],
    [['soak', '--unknown']],
  ])('refuses %j', (words) => {
    expect(() => readOptions(words)).toThrow(UsageError);
  });
});
