import { describe, expect, test } from 'vitest';
import { readOptions, UsageError } from './options.js';

describe('readOptions', () => {
  test('has defaults for everything', () => {
    expect(readOptions(['speed'])).toEqual({
      command: 'speed',
      device: 0,
      driver: undefined,
      json: undefined,
      write: false,
      shapes: ['0.1b', '0.4b', '1.5b', '2.9b', '7.2b'],
      formats: ['f16', 'q8_0', 'q4_0'],
      batch: [1, 8, 64, 320, 1024],
      prefill: [512, 4096],
      candidates: 64,
      logits: [1, 8],
      rounds: 5,
      seconds: 1,
      sparse: 'auto',
      limits: true,
      peer: [],
      python: 'python3',
      steps: 100_000,
      cycles: 20,
    });
  });

  test('reads lists, a command with its words, and none of something', () => {
    const lists = ['--formats', 'bf16,q4_k,f32', '--batch', '2,3', '--logits', '0'];
    const words = ['--prefill', '0', '--peer', 'python  peer.py', '--sparse', 'never'];
    const none = ['--python', 'none', '--no-limits'];
    expect(readOptions(['speed', ...lists, ...words, ...none])).toMatchObject({
      formats: ['bf16', 'q4_k', 'f32'],
      batch: [2, 3],
      logits: [],
      prefill: [],
      python: 'none',
      peer: ['python', 'peer.py'],
      sparse: 'never',
      limits: false,
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
    [['speed', '--batch', '1.5']],
    [['speed', '--rounds', '0']],
    [['speed', '--seconds', '0']],
    [['speed', '--sparse', 'always']],
    [['speed', '--device', '-1']],
    [['soak', '--steps', 'many']],
    [['soak', '--unknown']],
  ])('refuses %j', (words) => {
    expect(() => readOptions(words)).toThrow(UsageError);
  });
});
