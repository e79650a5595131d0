/**
 * The sampler's meaning, written for reading: dense arrays, `Math.exp`, a full sort, one multiplication per count and
 * step. The tests hold the fast sampler to it. Takes its uniforms from outside.
 */
import type { SampledToken, SamplerOptions } from '../src/index.js';

interface Candidate {
  readonly token: number;
  readonly logit: number;
  weight: number;
}

const total = (candidates: readonly Candidate[]): number =>
  candidates.reduce((sum, { weight }) => sum + weight, 0);

export class SlowSampler {
  readonly #options: SamplerOptions;
  readonly #uniform: () => number;
  readonly counts = new Map<number, number>();
  readonly #history: number[] = [];
  bound: number;

  constructor(options: SamplerOptions, uniform: () => number) {
    this.#options = options;
    this.#uniform = uniform;
    this.bound = 2 * (options.mirostat?.targetSurprise ?? 0);
  }

  accept(token: number): void {
    const { penaltyDecay = 1, penaltyExempt } = this.#options;
    for (const [seen, count] of this.counts) this.counts.set(seen, count * penaltyDecay);
    if (penaltyExempt?.has(token) !== true) {
      this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
    }
    this.#history.push(token);
  }

  adjust(logits: Float32Array | Float64Array): number[] {
    const options = this.#options;
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
    const adjusted = Array.from(logits);
    const window = this.#history.slice(-(options.repetitionWindow ?? this.#history.length + 1));
    for (const token of new Set(window)) {
      if (options.penaltyExempt?.has(token) === true) continue;
      const logit = adjusted[token]!;
      adjusted[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
    for (const [token, count] of this.counts) {
      adjusted[token]! -= presencePenalty + count * frequencyPenalty;
    }
    const bias = options.logitBias ?? {};
    for (const [token, add] of bias instanceof Map ? bias : Object.entries(bias)) {
      adjusted[Number(token)]! += add as number;
    }
    for (const token of options.bannedTokens ?? []) adjusted[token] = -Infinity;
    return adjusted;
  }

  sample(logits: Float32Array | Float64Array): SampledToken {
    const token = this.#choose(this.adjust(logits));
    this.accept(token);
    const row = Array.from(logits);
    const maximum = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const mass = row.reduce((sum, logit) => sum + Math.exp(logit - maximum), 0);
    const logprobOf = (id: number): number => logits[id]! - maximum - Math.log(mass);
    const { topLogprobs = 0 } = this.#options;
    if (topLogprobs === 0) return { token, logprob: logprobOf(token) };
    const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
    const likely = order.filter((id) => logits[id]! > -Infinity).slice(0, topLogprobs);
    return {
      token,
      logprob: logprobOf(token),
      topLogprobs: likely.map((id) => ({ token: id, logprob: logprobOf(id) })),
    };
  }

  #choose(adjusted: readonly number[]): number {
    const { temperature = 1, mirostat } = this.#options;
    const maximum = adjusted.reduce((a, b) => Math.max(a, b), -Infinity);
    if (temperature === 0) return adjusted.indexOf(maximum);
    const uniform = this.#uniform();
    let kept = this.#truncate(adjusted, maximum);
    const best = kept.reduce((a, { logit }) => Math.max(a, logit), -Infinity);
    for (const one of kept) one.weight = Math.exp((one.logit - best) / temperature);
    if (mirostat !== undefined) {
      const mass = total(kept);
      kept = kept.filter(
        ({ logit, weight }) => logit === best || Math.log2(mass / weight) <= this.bound,
      );
    }
    const mass = total(kept);
    let below = 0;
    const drawn = kept.find(({ weight }) => (below += weight) > uniform * mass)!;
    if (mirostat !== undefined) {
      const { learningRate, targetSurprise } = mirostat;
      this.bound -= learningRate * (Math.log2(mass / drawn.weight) - targetSurprise);
    }
    return drawn.token;
  }

  #truncate(adjusted: readonly number[], maximum: number): Candidate[] {
    const { topP = 1, topK = 0, minP = 0, typicalP = 1 } = this.#options;
    const all = adjusted.map((logit, token) => ({
      token,
      logit,
      weight: Math.exp(logit - maximum),
    }));
    const sorted = all
      .filter(({ logit }) => logit > -Infinity)
      .sort((a, b) => b.logit - a.logit || a.token - b.token);
    const mass = total(sorted);
    let kept = sorted;
    if (topP < 1) {
      let sum = 0;
      const last = sorted.find(({ weight }) => (sum += weight) >= topP * mass);
      if (last !== undefined) kept = kept.filter(({ logit }) => logit >= last.logit);
    }
    if (topK > 0) kept = kept.slice(0, topK);
    if (minP > 0) kept = kept.filter(({ logit }) => logit >= maximum + Math.log(minP));
    if (typicalP < 1) kept = typical(kept, typicalP);
    return kept.sort((a, b) => a.token - b.token);
  }
}

function typical(kept: readonly Candidate[], typicalP: number): Candidate[] {
  const mass = total(kept);
  const positive = kept.filter(({ weight }) => weight > 0);
  const entropy = positive.reduce(
    (sum, { weight }) => sum - (weight / mass) * Math.log(weight / mass),
    0,
  );
  const distance = ({ weight }: Candidate): number => Math.abs(-Math.log(weight / mass) - entropy);
  const byDistance = [...positive].sort((a, b) => distance(a) - distance(b));
  let sum = 0;
  const last =
    byDistance.find(({ weight }) => (sum += weight) >= typicalP * mass) ?? byDistance.at(-1)!;
  // The allowance is for the rounding of the two logarithms: equal logits are ties.
  return positive.filter((one) => distance(one) <= distance(last) + 1e-12);
}
