import { describe, expect, it } from 'vitest';
import { SlowSampler } from '../test/slow-sampler.js';
import { TestRandom, randomOptions, randomRow, rowKinds } from '../test/random-rows.js';
import { createSampler, logSoftmaxAt, restoreSampler, type SamplerOptions } from './index.js';
import { RandomStream, seedState } from './random.js';

function slowSampler(options: SamplerOptions, seed: number): SlowSampler {
  const stream = new RandomStream(seedState(BigInt(seed)));
  return new SlowSampler(options, () => stream.nextUniform());
}

describe('the fast sampler is the slow one', () => {
  for (const kind of rowKinds) {
    it(`on ${kind} rows, for random combinations of all options`, () => {
      const random = new TestRandom(rowKinds.indexOf(kind) + 1);
      for (let round = 0; round < 200; round++) {
        const size = random.pick([1, 2, 5, 63, 64, 65, 130, 700]);
        const options = randomOptions(random, size);
        const fast = createSampler(size, { ...options, seed: round });
        const slow = slowSampler(options, round);
        const row = randomRow(random, size, kind);
        for (let step = 0; step < 6; step++) {
          const logits = step % 3 === 2 ? randomRow(random, size, kind) : row;
          const allowed = slow.adjust(logits).some((logit) => logit > -Infinity);
          if (!allowed) {
            expect(() => fast.sample(logits)).toThrow(/at least 1 of/);
            break;
          }
          const before = logits.slice();
          const got = fast.sample(round % 2 === 0 ? logits : Float64Array.from(logits));
          const expected = slow.sample(logits);
          const context = `round ${round} step ${step} ${JSON.stringify(options)}`;
          expect(got.token, context).toBe(expected.token);
          closeTo(got.logprob, expected.logprob, context);
          expect(got.topLogprobs?.map(({ token }) => token)).toEqual(
            expected.topLogprobs?.map(({ token }) => token),
          );
          got.topLogprobs?.forEach(({ logprob }, at) => {
            closeTo(logprob, expected.topLogprobs![at]!.logprob, context);
          });
          expect(logits).toEqual(before);
        }
      }
    });
  }

  it('at V = 65,536', () => {
    const random = new TestRandom(77);
    for (let round = 0; round < 9; round++) {
      const kind = rowKinds[round % rowKinds.length]!;
      const options: SamplerOptions = {
        temperature: random.pick([0.7, 1, 1.3]),
        ...(round % 4 !== 0 && { topP: random.pick([0.3, 0.85, 0.95]) }),
        ...(round % 4 === 1 && { topK: 50 }),
        presencePenalty: 0.2,
        frequencyPenalty: 0.2,
        penaltyDecay: 0.996,
      };
      const fast = createSampler(65536, { ...options, seed: round });
      const slow = slowSampler(options, round);
      const row = randomRow(random, 65536, kind);
      for (let step = 0; step < 2; step++) {
        const got = fast.sample(row);
        const expected = slow.sample(row);
        expect(got.token, `${kind} ${JSON.stringify(options)}`).toBe(expected.token);
        closeTo(got.logprob, expected.logprob, kind);
      }
    }
  });
});

function closeTo(got: number, expected: number, context: string): void {
  const margin = 1e-9 + 1e-15 * Math.abs(expected);
  expect(Math.abs(got - expected), `${got} ${expected} ${context}`).toBeLessThan(margin);
}

describe('the draw', () => {
  it('follows the probabilities (chi-square, 99.9 %)', () => {
    const probabilities = [0.5, 0.25, 0.125, 0.0625, 0.03, 0.02, 0.0125];
    const row = Float64Array.from(probabilities, Math.log);
    const sampler = createSampler(row.length, { seed: 20260101 });
    const counts = probabilities.map(() => 0);
    const draws = 100_000;
    for (let draw = 0; draw < draws; draw++) counts[sampler.sample(row).token]! += 1;
    const chiSquare = counts.reduce((sum, count, token) => {
      const mean = draws * probabilities[token]!;
      return sum + (count - mean) ** 2 / mean;
    }, 0);
    expect(chiSquare).toBeLessThan(22.458); // 6 degrees of freedom
    expect(chiSquare).toBeGreaterThan(0.381); // nor suspiciously even
  });

  it('at temperature T follows p^(1/T)', () => {
    const row = Float32Array.of(0, 1, 2, 3);
    const temperature = 2;
    const weights = Array.from(row, (logit) => Math.exp(logit / temperature));
    const mass = weights.reduce((a, b) => a + b);
    for (const topK of [0, 4, 3]) {
      const sampler = createSampler(4, { seed: 3, temperature, topK });
      const counts = [0, 0, 0, 0];
      for (let draw = 0; draw < 40_000; draw++) counts[sampler.sample(row).token]! += 1;
      const keptMass = topK === 3 ? mass - weights[0]! : mass;
      if (topK === 3) expect(counts[0]).toBe(0);
      counts.forEach((count, token) => {
        if (count > 0) expect(count / 40_000).toBeCloseTo(weights[token]! / keptMass, 2);
      });
    }
  });

  it('never gives a token of probability 0', () => {
    const row = new Float32Array(200).fill(-Infinity);
    row[130] = 0;
    row[199] = -1;
    for (let seed = 0; seed < 200; seed++) {
      const { token } = createSampler(200, { seed, bannedTokens: [199] }).sample(row);
      expect(token).toBe(130);
    }
  });

  it('is greedy at T = 0, the lowest id among equals, whatever else is set', () => {
    const row = Float32Array.of(1, 7, 3, 7, 7);
    for (const options of [{}, { topK: 2 }, { typicalP: 0.1 }, { topP: 0.2, minP: 0.9 }]) {
      const sampler = createSampler(5, { temperature: 0, ...options });
      expect(sampler.sample(row).token).toBe(1);
    }
    expect(createSampler(5, { temperature: 0, bannedTokens: [1] }).sample(row).token).toBe(3);
  });
});

describe('mirostat', () => {
  for (const targetSurprise of [2, 4, 6]) {
    it(`brings the mean surprise to ${targetSurprise} bits`, () => {
      const size = 5000;
      const zipf = Float32Array.from({ length: size }, (_, rank) => -1.1 * Math.log(rank + 1));
      const mirostat = { targetSurprise, learningRate: 0.1 };
      const sampler = createSampler(size, { seed: 5, mirostat });
      const slow = slowSampler({ mirostat }, 5);
      const bounds: number[] = [];
      for (let step = 0; step < 3000; step++) {
        const { token } = sampler.sample(zipf);
        if (step < 50) expect(token).toBe(slow.sample(zipf).token);
        if (step >= 200) bounds.push(sampler.save().mirostatBound);
      }
      // The bound moves by the errors, so their mean is its drift over the steps.
      const drift = (bounds.at(-1)! - bounds[0]!) / (bounds.length - 1) / mirostat.learningRate;
      expect(Math.abs(drift)).toBeLessThan(0.05);
      expect(Math.max(...bounds)).toBeLessThan(20);
    });
  }
});

describe('seed, clone, save and restore', () => {
  const size = 300;
  const options: SamplerOptions = {
    seed: 42,
    temperature: 0.9,
    topP: 0.9,
    presencePenalty: 0.4,
    frequencyPenalty: 0.3,
    penaltyDecay: 0.97,
    repetitionPenalty: 1.1,
    repetitionWindow: 5,
    mirostat: { targetSurprise: 4, learningRate: 0.2 },
    penaltyExempt: new Set([3, 4]),
    logitBias: { 7: 1.5, 9: -Infinity },
    topLogprobs: 2,
  };
  const rows = ((): Float32Array[] => {
    const random = new TestRandom(9);
    return Array.from({ length: 40 }, () => randomRow(random, size, 'normal'));
  })();
  const run = (sampler: ReturnType<typeof createSampler>, from = 0, to = rows.length): unknown[] =>
    rows.slice(from, to).map((row) => sampler.sample(row));

  it('the same seed gives the same tokens, another seed others', () => {
    const once = run(createSampler(size, options));
    expect(run(createSampler(size, options))).toEqual(once);
    expect(run(createSampler(size, { ...options, seed: 43n }))).not.toEqual(once);
  });

  it('these tokens on every platform', () => {
    const sampler = createSampler(1000, { seed: 2026, temperature: 1.2, topP: 0.95 });
    const row = Float32Array.from({ length: 1000 }, (_, token) => ((token * 7919) % 1000) / 125);
    const tokens = Array.from({ length: 12 }, () => sampler.sample(row).token);
    expect(tokens).toMatchInlineSnapshot(`
      [
        247,
        27,
        818,
        346,
        420,
        373,
        816,
        704,
        557,
        457,
        260,
        26,
      ]
    `);
  });

  it('samplers that take turns do not disturb each other', () => {
    const alone = run(createSampler(size, options));
    const one = createSampler(size, options);
    const other = createSampler(size, { seed: 1, bannedTokens: [1, 2, 3], presencePenalty: 3 });
    const together = rows.map((row) => {
      other.sample(Float32Array.from(row, (logit) => logit * 40));
      return one.sample(row);
    });
    expect(together).toEqual(alone);
  });

  it('a clone goes on alike and apart', () => {
    const original = createSampler(size, options);
    run(original, 0, 20);
    const copy = original.clone();
    const branch = original.clone({ seed: 8 });
    const expected = run(original, 20);
    expect(run(branch, 20)).not.toEqual(expected);
    expect(run(copy, 20)).toEqual(expected);
  });

  it('save goes through JSON, does not disturb, and restores bit for bit', () => {
    const original = createSampler(size, options);
    run(original, 0, 20);
    const text = JSON.stringify(original.save());
    const restored = restoreSampler(JSON.parse(text) as ReturnType<typeof original.save>);
    expect(JSON.stringify(restored.save())).toBe(text);
    expect(run(restored, 20)).toEqual(run(original, 20));
    expect(JSON.stringify(original.save())).toBe(JSON.stringify(restored.save()));
  });

  it('reset is a new start, for an unseeded sampler too', () => {
    for (const sampler of [createSampler(size, options), createSampler(size)]) {
      const first = run(sampler);
      sampler.reset();
      expect(run(sampler)).toEqual(first);
    }
  });

  it('unseeded samplers differ', () => {
    expect(createSampler(size).save().seed).not.toBe(createSampler(size).save().seed);
  });

  it('accept counts like sample', () => {
    const one = createSampler(size, { temperature: 0, presencePenalty: 5 });
    const other = createSampler(size, { temperature: 0, presencePenalty: 5 });
    other.accept(one.sample(rows[0]!).token);
    expect(other.sample(rows[0]!)).toEqual(one.sample(rows[0]!));
  });
});

describe('log probabilities', () => {
  it('are of the model, not of what was adjusted', () => {
    const row = Float32Array.of(3, 1, 0, -2);
    const sampler = createSampler(4, { bannedTokens: [0], logitBias: { 1: 50 }, topLogprobs: 9 });
    const { token, logprob, topLogprobs } = sampler.sample(row);
    expect(token).toBe(1);
    expect(logprob).toBeCloseTo(logSoftmaxAt(row, 1), 9);
    expect(topLogprobs!.map((entry) => entry.token)).toEqual([0, 1, 2, 3]);
    const sum = topLogprobs!.reduce((a, entry) => a + Math.exp(entry.logprob), 0);
    expect(sum).toBeCloseTo(1, 9);
  });

  it('keep their digits when the banned token had almost all probability', () => {
    const row = Float64Array.of(0, -60, -61);
    const sampler = createSampler(3, { seed: 1, bannedTokens: [0], topP: 0.7 });
    for (let draw = 0; draw < 20; draw++) {
      const { token, logprob } = sampler.sample(row);
      expect(token).toBe(1); // 0.73 of what is left
      expect(logprob).toBeCloseTo(-60, 9);
    }
  });
});
