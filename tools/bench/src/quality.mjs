/**
 * What quantised weights cost in quality: how far the next-token distributions move, and how much of that is this
 * backend's doing.
 *
 *   pnpm build
 *   pnpm --filter @rwkv-ts/bench run quality            (--write also writes bench/results/quality.md)
 *
 * For every weight format each model is computed three ways: as it is, by the f64 reference; quantised, by the f64
 * reference on the decoded weights (what the format costs whoever computes it exactly); quantised, by the CPU backend,
 * which rounds activations to 8 bits before it multiplies. Distributions are compared at every position: the mean of
 * KL(original ‖ other) in thousandths of a nat, and how often the likeliest token is the same.
 *
 * The text is what a model writes itself, sampled from the exact distribution: every model knows it, and its entropy is
 * the model's own. `--text FILE` also measures the demonstration model on a text of its kind, the King James Bible; the
 * last 2 % were kept out of its training.
 *
 * Half of the windows are fed whole and half token by token, so that both kinds of product count.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@rwkv-ts/backend-cpu';
import { demoModel } from '@rwkv-ts/demo-model';
import { encode, formatInfo } from '@rwkv-ts/formats';
import { createLanguageModel } from '@rwkv-ts/generate';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const { values } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    text: { type: 'string' },
    tokens: { type: 'string', default: '2048' },
    instructions: { type: 'string', default: 'auto' },
    model: { type: 'string', multiple: true },
    format: { type: 'string', multiple: true },
  },
});
const windowLength = 256;
const windows = Math.ceil(Number(values.tokens) / windowLength);
const formats = values.format ?? [
  ...['f32', 'f16', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0', 'q6_k', 'q5_k', 'q4_k'],
];

const golden = process.env.RWKV_GOLDEN ?? join(repository, '../shared/golden');
const tiny = (file) => join(golden, 'rwkv-cpp-tiny', file);
const models = [
  { name: 'Demonstration model (v7, C 128)', path: fileURLToPath(demoModel.url) },
  ...(values.text === undefined
    ? []
    : [
        {
          name: 'Demonstration model, a given text',
          path: fileURLToPath(demoModel.url),
          text: values.text,
        },
      ]),
  { name: 'Tiny v7 of rwkv.cpp (C 64)', path: tiny('tiny-rwkv-7v0-834K-FP32.bin') },
  {
    name: 'Tiny v5.0 of rwkv.cpp (C 64)',
    path: tiny('tiny-rwkv-5v1-730K-FP32.bin'),
    overrides: { headNormEpsilon: 1e-5 },
  },
  { name: 'Tiny v4 of rwkv.cpp (C 128)', path: tiny('tiny-rwkv-4v0-660K-FP32.bin') },
].filter(({ name }) => values.model?.some((wanted) => name.includes(wanted)) ?? true);

// The number of threads changes no result.
const cpu = createCpuBackend({ instructions: values.instructions, threads: 1 });
const reference = createReferenceBackend({ precision: 'f64' });
const lines = [];
const print = (line) => {
  console.log(line);
  lines.push(line);
};

print(`# Quality of quantised weights

${cpu.name}; ${cpus()[0].model.trim()}, Node ${process.version}; ${new Date().toISOString().slice(0, 10)}; \`pnpm --filter @rwkv-ts/bench run quality${values.instructions === 'auto' ? '' : ` --instructions ${values.instructions}`}${values.text === undefined ? '' : ' --text FILE'}${values.write ? ' --write' : ''}\`.

Mean KL divergence of next-token distributions from the unquantised model's, in thousandths of a nat, ± its standard error: the f64 reference on the decoded weights, the CPU backend on the same quantised weights, and between those two (what the backend's rounding of activations adds). "Top 1": how often the likeliest token is that of the unquantised model. "Quantised": the share of the weights that the format fits (rows must be multiples of 32, or of 256 for the k-formats; the rest stay f32). ${windows} windows of ${windowLength} tokens, half of them fed whole and half token by token, sampled from the unquantised model itself where no text is given.`);
for (const model of models) {
  if (existsSync(model.path)) await measureModel(model);
  else console.error(`${model.name}: ${model.path} is not there`);
}
await cpu[Symbol.asyncDispose]();
await reference[Symbol.asyncDispose]();
if (values.write) {
  mkdirSync(join(repository, 'bench/results'), { recursive: true });
  writeFileSync(join(repository, 'bench/results/quality.md'), `${lines.join('\n')}\n`);
}

async function measureModel({ name, path, overrides, text: given }) {
  const file = await openModel(await fileSource(path), overrides ? { overrides } : {});
  const weights = [];
  // Exact: both backends take f32, and every file here holds f32 or f16.
  for await (const weight of file.weights({ claimed: new Set(['f32']) })) weights.push(weight);
  const load = (backend, list) =>
    createLanguageModel({
      config: file.config,
      weights: each(list),
      backend,
      limits: { tokens: windowLength, sequences: windows, wanted: windowLength },
      fingerprint: () => '',
    });
  const original = await load(reference, weights);
  const text =
    given === undefined
      ? await writeText(original)
      : cut(readFileSync(given), original.vocabularySize);
  const want = await distributions(original, text);
  await original[Symbol.asyncDispose]();
  const sample = createHash('sha256').update(Buffer.from(Uint32Array.from(text.flat()).buffer));
  print(`
## ${name}

${text.length * windowLength} tokens (sha256 ${sample.digest('hex').slice(0, 12)}), predicted with ${mean(want.map(entropy)).toFixed(3)} nats of entropy.

| format | quantised | KL, reference | KL, cpu | KL between | top 1, reference | top 1, cpu |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |`);
  for (const format of formats) {
    const quantised = weights.map((weight) => quantise(weight, format));
    const share = shareOf(quantised, format);
    const results = [];
    for (const backend of [reference, cpu]) {
      const model = await load(backend, quantised);
      results.push(await distributions(model, text));
      await model[Symbol.asyncDispose]();
    }
    const [exact, fast] = results;
    print(rowOf({ format, share, want, exact, fast }));
  }
  await file[Symbol.asyncDispose]();
}

function rowOf({ format, share, want, exact, fast }) {
  const cells = [
    `\`${format}\``,
    `${(share * 100).toFixed(0)} %`,
    spread(want.map((row, at) => divergence(row, exact[at]))),
    spread(want.map((row, at) => divergence(row, fast[at]))),
    spread(exact.map((row, at) => divergence(row, fast[at]))),
    agreement(want, exact),
    agreement(want, fast),
  ];
  return `| ${cells.join(' | ')} |`;
}

async function* each(list) {
  yield* list;
}

/** Matrices whose rows are whole blocks, in the format; vectors and the rest as they are. */
function quantise(weight, format) {
  const columns = weight.shape.at(-1);
  if (weight.shape.length !== 2 || columns % formatInfo(format).blockSize !== 0) return weight;
  const numbers = new Float32Array(weight.bytes.slice().buffer);
  return { ...weight, format, bytes: encode(format, numbers) };
}

function shareOf(weights, format) {
  const count = ({ shape }) => shape.reduce((product, size) => product * size, 1);
  const sum = (list) => list.reduce((total, weight) => total + count(weight), 0);
  return sum(weights.filter((weight) => weight.format === format)) / sum(weights);
}

/** `windows` texts of the model's own, sampled together at temperature 1 after a newline each. */
async function writeText(model) {
  const states = await model.createStates(windows);
  const random = generator(1);
  const sequences = Array.from({ length: windows }, () => [10]);
  const each = Uint32Array.from({ length: windows }, (_, index) => index);
  const starts = Uint32Array.from({ length: windows + 1 }, (_, index) => index);
  while (sequences[0].length < windowLength) {
    const tokens = Uint32Array.from(sequences, (sequence) => sequence.at(-1));
    const rows = await model.forward(states, { tokens, starts, slots: each, wanted: each });
    for (const [index, sequence] of sequences.entries()) {
      const width = model.vocabularySize;
      const row = logSoftmax(rows.subarray(index * width, (index + 1) * width));
      sequence.push(draw(row, random()));
    }
  }
  await states[Symbol.asyncDispose]();
  return sequences;
}

function draw(row, random) {
  let rest = random;
  for (let token = 0; token < row.length; token++) {
    rest -= Math.exp(row[token]);
    if (rest < 0) return token;
  }
  return row.indexOf(Math.max(...row));
}

/** A small seeded generator of numbers in [0, 1): a multiply-and-xor hash of a counter. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let bits = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  };
}

function cut(bytes, vocabularySize) {
  if (vocabularySize !== 256) throw new Error('--text is for models of bytes.');
  if (bytes.length < windows * windowLength)
    throw new Error(
      `the text has ${bytes.length} bytes, and ${windows * windowLength} are needed.`,
    );
  return Array.from({ length: windows }, (_, index) => [
    ...bytes.subarray(index * windowLength, (index + 1) * windowLength),
  ]);
}

/** Log probabilities after every token of every window, each window from an empty state. */
async function distributions(model, text) {
  const states = await model.createStates(1);
  const width = model.vocabularySize;
  const rows = [];
  for (const [index, window] of text.entries()) {
    states.reset(0);
    const step = index % 2 === 0 ? windowLength : 1;
    for (let from = 0; from < window.length; from += step) {
      const tokens = Uint32Array.from(window.slice(from, from + step));
      const logits = await model.forward(states, {
        tokens,
        starts: Uint32Array.of(0, tokens.length),
        slots: Uint32Array.of(0),
        wanted: Uint32Array.from(tokens, (_, at) => at),
      });
      for (let at = 0; at < tokens.length; at++)
        rows.push(logSoftmax(logits.subarray(at * width, (at + 1) * width)));
    }
  }
  await states[Symbol.asyncDispose]();
  return rows;
}

function logSoftmax(row) {
  const largest = row.reduce((most, value) => Math.max(most, value), -Infinity);
  const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
  return Float64Array.from(row, (value) => value - largest - Math.log(sum));
}

function divergence(from, to) {
  return from.reduce((sum, value, token) => sum + Math.exp(value) * (value - to[token]), 0);
}

function entropy(row) {
  return -row.reduce((sum, value) => sum + Math.exp(value) * value, 0);
}

function mean(numbers) {
  return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

/** Three significant digits, and the error of the mean with as many decimals. */
function spread(numbers) {
  const [average, count] = [mean(numbers) * 1000, numbers.length];
  const squares = mean(numbers.map((value) => (value * 1000 - average) ** 2));
  const error = Math.sqrt(squares / count);
  if (Math.abs(average) < 1e-6) return '< 10⁻⁶';
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(average))));
  return `${average.toFixed(decimals)} ± ${error.toFixed(decimals)}`;
}

function agreement(left, right) {
  const likeliest = (row) => row.indexOf(row.reduce((most, value) => Math.max(most, value)));
  const same = left.filter((row, at) => likeliest(row) === likeliest(right[at])).length;
  return `${((same / left.length) * 100).toFixed(2)} %`;
}
