import { expect, it } from 'vitest';
import { createSampler, restoreSampler, samplerPresets } from '../src/index.js';

it('the example of the README', () => {
  const sampler = createSampler(4, { ...samplerPresets['rwkv-chat'], seed: 1, topLogprobs: 2 });
  const logits = Float32Array.of(0.5, 4, -1, 2);
  const { token, logprob, topLogprobs } = sampler.sample(logits);
  expect(token).toBe(1);
  // -ln(1 + e^-3.5 + e^-5 + e^-2)
  expect(logprob).toBeCloseTo(-0.15894, 4);
  expect(topLogprobs?.map((entry) => entry.token)).toEqual([1, 3]);
  const fork = sampler.clone({ seed: 2 });
  sampler.accept(3);
  const text = JSON.stringify(sampler.save());
  const restored = restoreSampler(JSON.parse(text) as ReturnType<typeof sampler.save>);
  expect(restored.sample(logits)).toEqual(sampler.sample(logits));
  expect(fork.save().penalties.tokens).toEqual([1]);
});
