import { describe, expect, it } from 'vitest';
import {
  batchedBenchCommand,
  llamaBenchCommand,
  parseBatchedBench,
  parseLlamaBench,
} from './llama-bench.js';

const row = {
  build_commit: 'abc1234',
  build_number: 7,
  backends: 'CPU',
  n_threads: 2,
  n_batch: 2048,
  n_ubatch: 512,
  n_prompt: 512,
  n_gen: 0,
  avg_ns: 1,
  avg_ts: 640.5,
};

describe('llama-bench', () => {
  it('is asked for one repetition of one test as JSON', () => {
    const command = llamaBenchCommand('bench', {
      file: 'a b.gguf',
      threads: 2,
      prompt: 0,
      tokens: 64,
    });
    expect(command.join(' ')).toBe('bench -m a b.gguf -p 0 -n 64 -r 1 -t 2 -o json');
  });

  it('tells the rate and what ran', () => {
    const [result] = parseLlamaBench(JSON.stringify([row]));
    expect(result).toMatchObject({ rate: 640.5, prompt: 512, tokens: 0 });
    expect(result?.engine).toBe('llama.cpp abc1234 (7), CPU, 2 threads, batch 2048/512');
  });

  it('refuses what is no result', () => {
    expect(() => parseLlamaBench('[\n')).toThrow(SyntaxError);
    expect(() => parseLlamaBench('{}')).toThrow(TypeError);
    expect(() => parseLlamaBench('[{"avg_ts":"1"}]')).toThrow('no number avg_ts, but "1"');
    expect(parseLlamaBench('[]')).toEqual([]);
  });
});

describe('llama-batched-bench', () => {
  it('gets a context that all sequences fit in', () => {
    const settings = { file: 'a.gguf', threads: 1, batch: 32, tokens: 24 };
    expect(batchedBenchCommand('bench', settings).join(' ')).toBe(
      'bench -m a.gguf -npp 1 -ntg 24 -npl 32 -c 1600 -t 1 -tb 1 --output-format jsonl',
    );
  });

  it('tells tokens a second over all sequences', () => {
    expect(parseBatchedBench('\nnoise\n{"pl": 16, "speed_tg": 243.5, "speed": 1}\n')).toBe(243.5);
    expect(() => parseBatchedBench('noise')).toThrow(TypeError);
    expect(() => parseBatchedBench('{"pl": 16}')).toThrow('speed_tg');
  });
});
