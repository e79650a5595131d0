/**
 * Time to choose a token from a row of 65,536 logits: `pnpm --filter @rwkv-ts/sampler build`, then
 * `node tools/bench/src/sampler.mjs`. Prints the median and the 90th percentile of 2,000 calls after 500 to warm up,
 * over 16 different rows, with about 200 different tokens already counted by the penalties.
 */
import { cpus } from 'node:os';
import { createSampler, samplerPresets } from '@rwkv-ts/sampler';

const size = 65536;
const rowCount = 16;
const warmUp = 500;
const calls = 2000;

let state = 12345;
function uniform() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state + 0.5) / 2 ** 32;
}
const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());

/** Rows like a model's: most logits near -6, a dozen tokens in question. `spread`: one bell curve, hundreds in question. */
const kinds = {
  model: (row) => {
    for (let token = 0; token < size; token++) row[token] = -6 + 2.5 * normal();
    for (let rank = 0; rank < 200; rank++)
      row[Math.floor(uniform() * size)] = 14 - 1.5 * Math.log2(rank + 1) + normal();
  },
  spread: (row) => {
    for (let token = 0; token < size; token++) row[token] = 3 * normal();
  },
  flat: (row) => {
    for (let token = 0; token < size; token++) row[token] = 0.01 * normal();
  },
};

const settings = {
  'top-p 0.85, penalties, seed': { ...samplerPresets.pipeline, seed: 1 },
  'rwkv-chat': { ...samplerPresets['rwkv-chat'], seed: 1 },
  reasoning: { ...samplerPresets.reasoning, seed: 1 },
  greedy: { ...samplerPresets.greedy },
  'no truncation': { seed: 1 },
  'no truncation, temperature 0.8': { seed: 1, temperature: 0.8 },
  'min-p 0.05': { seed: 1, minP: 0.05 },
  'typical 0.95': { seed: 1, typicalP: 0.95 },
  'mirostat 5 bits': { seed: 1, mirostat: { targetSurprise: 5, learningRate: 0.1 } },
  'pipeline, 5 log probabilities': { ...samplerPresets.pipeline, seed: 1, topLogprobs: 5 },
};

function measure(options, rows) {
  const sampler = createSampler(size, options);
  for (let count = 0; count < 200; count++) sampler.accept((count * 7919) % size);
  const times = [];
  for (let call = 0; call < warmUp + calls; call++) {
    const row = rows[call % rows.length];
    const start = performance.now();
    sampler.sample(row);
    if (call >= warmUp) times.push((performance.now() - start) * 1000);
    // Back to 200 counted tokens now and then, so that the list does not grow with the length of the measurement.
    if (call % 100 === 99) {
      sampler.reset();
      for (let count = 0; count < 200; count++) sampler.accept((count * 7919) % size);
    }
  }
  times.sort((a, b) => a - b);
  return { median: times[calls >> 1], high: times[Math.floor(calls * 0.9)] };
}

console.log(
  `Node ${process.version}, ${cpus()[0].model}, V = ${size}; microseconds a token (median, 90th percentile)`,
);
for (const [kind, fill] of Object.entries(kinds)) {
  const rows = Array.from({ length: rowCount }, () => {
    const row = new Float32Array(size);
    fill(row);
    return row;
  });
  for (const [name, options] of Object.entries(settings)) {
    const { median, high } = measure(options, rows);
    console.log(
      `${kind.padEnd(7)} ${name.padEnd(32)} ${median.toFixed(1).padStart(7)} ${high.toFixed(1).padStart(7)}`,
    );
  }
}
