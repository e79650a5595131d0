/**
 * Time to choose a token from a row of 65,536 logits, in microseconds:
 *
 *   pnpm --filter @rwkv-ts/sampler build
 *   node tools/bench/src/sampler.mjs              (--write also writes bench/results/sampler.md)
 *
 * 300 rounds after 100 to warm up, over 16 different rows, with about 200 different tokens already counted by the
 * penalties. Every setting draws once a round, in turn, so that whatever else the machine does meets all of them alike.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createSampler, samplerPresets } from '@rwkv-ts/sampler';

const size = 65536;
const rowCount = 16;
const warmUp = 100;
const rounds = 300;

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

const counted = 200;

function contender([name, options]) {
  const sampler = createSampler(size, options);
  const refill = () => {
    sampler.reset();
    for (let count = 0; count < counted; count++) sampler.accept((count * 7919) % size);
  };
  return { name, sampler, refill, times: [] };
}

function measure(rows) {
  const contenders = Object.entries(settings).map(contender);
  contenders.push({
    name: 'Math.exp of each logit, summed (baseline)',
    sampler: { sample: sumPlainly },
    refill() {},
    times: [],
  });
  for (let round = 0; round < warmUp + rounds; round++) {
    const row = rows[round % rows.length];
    for (const { sampler, refill, times } of contenders) {
      // Back to the counted tokens now and then, so that the list does not grow with the length of the measurement.
      if (round % 100 === 0) refill();
      // Newly written, as a backend's rows are: not one that another sampler has just read, nor one long unread.
      const logits = row.slice();
      const start = performance.now();
      sampler.sample(logits);
      if (round >= warmUp) times.push((performance.now() - start) * 1000);
    }
  }
  return contenders;
}

function sumPlainly(row) {
  let sum = 0;
  for (let token = 0; token < row.length; token++) sum += Math.exp(row[token] - 32);
  return sum;
}

function figure(times, at) {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * at)].toFixed(0);
}

const lines = [];
for (const [kind, fill] of Object.entries(kinds)) {
  const rows = Array.from({ length: rowCount }, () => {
    const row = new Float32Array(size);
    fill(row);
    return row;
  });
  for (const { name, times } of measure(rows)) {
    const [low, median, high] = [0.1, 0.5, 0.9].map((at) => figure(times, at));
    lines.push(`| ${kind} | ${name} | **${median}** | ${low} to ${high} |`);
  }
}

const busy = loadavg()[0] > 1 ? ' (other programs were running)' : '';
const report = `# Sampler speed

${cpus()[0].model.trim()}, ${cpus().length} cores, load average ${loadavg()[0].toFixed(1)}${busy}; Node ${process.version}; ${new Date().toISOString().slice(0, 10)}; \`node tools/bench/src/sampler.mjs --write\`.

Microseconds to choose one token of ${size}, by the clock; ${rounds} interleaved rounds over ${rowCount} rows after ${warmUp} to warm up, each row newly written, ${counted} tokens counted by the penalties.
Rows: \`model\` has most logits near -6 and a dozen tokens in question, as a trained model's; \`spread\` is one bell curve of deviation 3, hundreds in question; \`flat\` has all tokens in question.

| row | setting | median | 10th to 90th percentile |
| --- | --- | ---: | ---: |
${lines.join('\n')}
`;
console.log(report);
if (process.argv.includes('--write')) {
  const folder = fileURLToPath(new URL('../../../bench/results/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}sampler.md`, report);
}
