/** `rwkv perplexity`, `bench` and `doctor`. */
import { describe, expect, it } from 'vitest';
import { nativeInstructions, runCli, runJson } from './run-cli.js';

interface Perplexity {
  readonly tokens: number;
  readonly bytes: number;
  readonly logprob: number;
  readonly perplexity: number;
  readonly bitsPerByte: number;
}

const text = 'And God said, Let there be light: and there was light.';

describe('rwkv perplexity', () => {
  it('is what the logits say', async () => {
    const [result, { logits, tokens }] = (await Promise.all([
      runJson(['perplexity', '--text', text, '--backend', 'reference-f64']),
      runJson(['logits', '--prompt', text, '--all', '--backend', 'reference-f64']),
    ])) as [Perplexity, { logits: number[][]; tokens: number[] }];
    let logprob = 0;
    for (let at = 1; at < tokens.length; at++) {
      const row = logits[at - 1]!;
      const largest = Math.max(...row);
      const sum = row.reduce((total, logit) => total + Math.exp(logit - largest), 0);
      logprob += row[tokens[at]!]! - largest - Math.log(sum);
    }
    const count = tokens.length - 1;
    expect(result).toMatchObject({ tokens: count, bytes: count });
    expect(result.logprob).toBeCloseTo(logprob, 9);
    expect(result.perplexity).toBeCloseTo(Math.exp(-logprob / count), 9);
    expect(result.bitsPerByte).toBeCloseTo(-logprob / count / Math.LN2, 9);
  });

  it('a window forgets: its first token is context', async () => {
    const [whole, windows, halves] = (await Promise.all([
      runJson(['perplexity'], { input: text }),
      runJson(['perplexity', '--window', '27'], { input: text }),
      Promise.all(
        [text.slice(0, 27), text.slice(27)].map((half) => runJson(['perplexity'], { input: half })),
      ),
    ])) as [Perplexity, Perplexity, Perplexity[]];
    expect(text).toHaveLength(54);
    expect(windows.tokens).toBe(52);
    expect(windows.logprob).toBeCloseTo(
      halves.reduce((sum, half) => sum + half.logprob, 0),
      9,
    );
    expect(windows.perplexity).not.toBe(whole.perplexity);
    const shown = await runCli(['perplexity', '--text', text]);
    expect(shown.stdout).toBe(
      `53 tokens predicted: perplexity ${whole.perplexity.toFixed(4)}, ${whole.bitsPerByte.toFixed(4)} bits per byte\n`,
    );
  });
});

describe('rwkv bench', () => {
  it('measures what it was asked to', async () => {
    const args = ['bench', '--prefill', '8', '--batch', '1,3', '--steps', '2', '--repeat', '3'];
    const [json, people] = await Promise.all([runJson(args), runCli(args)]);
    const rates = [expect.any(Number), expect.any(Number), expect.any(Number)] as unknown[];
    expect(json).toMatchObject({
      backend: expect.stringMatching(/^(cpu|reference) /) as unknown,
      weightBytes: expect.any(Number) as unknown,
      results: [
        { test: 'prefill 8', tokens: 8, rates },
        { test: 'decode, batch 1', tokens: 2, rates },
        { test: 'decode, batch 3', tokens: 6, rates },
      ],
    });
    const { results, weightBytes } = json as {
      weightBytes: number;
      results: { rates: number[]; median: number; gigabytesPerSecond?: number }[];
    };
    const [prefill, ...decodes] = results;
    expect(prefill).not.toHaveProperty('gigabytesPerSecond');
    // Every weight once a step, but of the embedding only the rows of the tokens.
    for (const [index, { median, gigabytesPerSecond = 0 }] of decodes.entries()) {
      const stepBytes = (gigabytesPerSecond * 1e9) / (median / [1, 3][index]!);
      expect(stepBytes / weightBytes).toBeGreaterThan(0.9);
      expect(stepBytes / weightBytes).toBeLessThan(1);
    }
    for (const { rates: all, median } of results) {
      expect(median).toBe([...all].sort((a, b) => a - b)[1]);
      expect(median).toBeGreaterThan(0);
    }
    expect(people.stdout).toMatch(/^decode, batch 3( +[\d.]+){4}$/m);
  });
});

describe('rwkv doctor', () => {
  it('reports every backend of this build', async () => {
    const report = await runJson(['doctor', '--group', 'manifest']);
    expect(report).toMatchObject({
      machine: { node: process.version },
      backends: [
        { backend: 'cpu', usable: nativeInstructions.length > 0, failed: [] },
        { backend: 'reference', usable: true, failed: [] },
        { backend: 'reference-f64', usable: true, failed: [] },
        { backend: 'webgpu', failed: [] },
        { backend: 'cuda', failed: [] },
      ],
    });
    const { backends } = report as { backends: { usable: boolean; passed: number }[] };
    for (const { usable, passed } of backends) if (usable) expect(passed).toBeGreaterThan(10);
  });
});
