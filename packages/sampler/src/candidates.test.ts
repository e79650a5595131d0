import { describe, expect, it } from 'vitest';
import { TestRandom, randomOptions, randomRow, rowKinds } from '../test/random-rows.js';
import { createSampler, type SamplerOptions, samplerPresets } from './index.js';

/** What `top-k` makes of a row, its sum off by `error`. */
function candidatesOf(
  row: Float32Array | Float64Array,
  { count, error = 0 }: { count: number; error?: number },
): Float64Array {
  // So low that enough are left, where that is worth a look.
  const least = count < row.length / 100 ? row.slice().sort().at(-count)! : -Infinity;
  const likely = [...row.keys()].filter((token) => row[token]! >= least);
  const tokens = likely.sort((a, b) => row[b]! - row[a]! || a - b).slice(0, count);
  let sum = 0;
  for (const logit of row) sum += Math.exp(logit - row[tokens[0]!]!);
  return Float64Array.of(...tokens.map((token) => row[token]!), ...tokens, sum * (1 + error));
}

describe('candidates give the token of the whole row, or none', () => {
  for (const kind of rowKinds) {
    it(`on ${kind} rows, for random combinations of all options`, () => {
      const random = new TestRandom(rowKinds.indexOf(kind) + 31);
      let decided = 0;
      let asked = 0;
      for (let round = 0; round < 400; round++) {
        const size = random.pick([1, 2, 5, 64, 130, 700]);
        const options = { ...randomOptions(random, size), seed: round };
        const whole = createSampler(size, options);
        const short = createSampler(size, options);
        const count = Math.min(size, random.pick([1, 2, 7, 30, 100, size]));
        const row = randomRow(random, size, kind);
        for (let step = 0; step < 6; step++) {
          const logits = step % 3 === 2 ? randomRow(random, size, kind) : row;
          const context = `round ${round} step ${step} ${count} of ${size} ${JSON.stringify(options)}`;
          const before = short.save();
          const error = random.pick([-9e-6, 0, 9e-6]);
          const got = short.sampleCandidates(candidatesOf(logits, { count, error }));
          asked++;
          if (!got) {
            expect(short.save(), context).toEqual(before);
            let expected;
            try {
              expected = whole.sample(logits);
            } catch (refusal) {
              expect(() => short.sample(logits), context).toThrow(refusal);
              break;
            }
            expect(short.sample(logits), context).toEqual(expected);
            continue;
          }
          decided++;
          const expected = whole.sample(logits);
          expect(got.token, context).toBe(expected.token);
          expect(got.logprob, context).toBeCloseTo(expected.logprob, 4);
          expect(
            got.topLogprobs?.map(({ token }) => token),
            context,
          ).toEqual(expected.topLogprobs?.map(({ token }) => token));
          expect(short.save(), context).toEqual(whole.save());
        }
      }
      // Enough of either to have tested something.
      expect(decided).toBeGreaterThan(asked / 20);
      expect(decided).toBeLessThan(asked);
    });
  }
});

/** A row as a language model gives it: a few likely tokens, and a long bell of unlikely ones. */
function modelRow(random: TestRandom, size: number): Float32Array {
  const row = randomRow(random, size, 'normal').map((logit) => logit / 2 - 3);
  for (let n = 0; n < 40; n++) row[random.below(size)] = 12 - 0.25 * n;
  return row;
}

describe('candidates of rows like a model’s', () => {
  const names = ['greedy', 'rwkv-chat', 'pipeline', 'creative', 'reasoning', 'ai00', 'bytes'];
  it.each(names)('decide nearly always with the preset %s', (name) => {
    const random = new TestRandom(7);
    const sampler = createSampler(65536, { ...samplerPresets[name], seed: 1 });
    let decided = 0;
    const steps = 20;
    for (let step = 0; step < steps; step++) {
      const row = modelRow(random, 65536);
      if (sampler.sampleCandidates(candidatesOf(row, { count: 120 }))) decided++;
      else sampler.sample(row);
    }
    expect(decided).toBeGreaterThan(0.9 * steps);
  });
});

describe('what candidates cannot decide', () => {
  const row = Float32Array.of(4, 3, 2, 1, 0.5, 0, -1, -2);
  const ask = (options: SamplerOptions, count = 3) =>
    createSampler(8, { seed: 1, ...options }).sampleCandidates(candidatesOf(row, { count }));

  it('is a draw from everything', () => {
    expect(ask({})).toBeUndefined();
    expect(createSampler(8, {}).canDecide(3)).toBe(false);
    expect(ask({}, 8)).toBeDefined();
    expect(createSampler(8, {}).canDecide(8)).toBe(true);
  });

  it('is top-k beyond them', () => {
    expect(ask({ topK: 4 })).toBeUndefined();
    // The third might share its place with one that is not listed.
    expect(ask({ topK: 3 })).toBeUndefined();
    expect(ask({ topK: 2 })).toBeDefined();
  });

  it('is top-p that they do not reach', () => {
    expect(ask({ topP: 0.99 })).toBeUndefined();
    expect(ask({ topP: 0.5 })).toBeDefined();
  });

  it('is what a bias or a ban brings up', () => {
    expect(ask({ temperature: 0 })?.token).toBe(0);
    expect(ask({ temperature: 0, logitBias: { 6: 50 } })).toBeUndefined();
    expect(ask({ temperature: 0, logitBias: { 6: 1 } })?.token).toBe(0);
    expect(ask({ temperature: 0, bannedTokens: [0] })?.token).toBe(1);
    expect(ask({ temperature: 0, bannedTokens: [0, 1] })).toBeUndefined();
  });

  it('is a row that is no distribution', () => {
    const none = candidatesOf(row, { count: 3 });
    none[6] = 0;
    expect(createSampler(8, { temperature: 0 }).sampleCandidates(none)).toBeUndefined();
    none[6] = NaN;
    expect(createSampler(8, { temperature: 0 }).sampleCandidates(none)).toBeUndefined();
  });

  it('is refused where it is no list of candidates', () => {
    const sampler = createSampler(8, { temperature: 0 });
    for (const length of [0, 1, 4, 19]) {
      expect(() => sampler.sampleCandidates(new Float32Array(length))).toThrow(/candidates/);
    }
    expect(() => sampler.sampleCandidates([1, 0, 1] as unknown as Float32Array)).toThrow(TypeError);
  });
});
