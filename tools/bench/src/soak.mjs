/**
 * 100,000 decode steps of the demonstration model on the CPU backend, with a snapshot and a restored slot now and then.
 * Prints the process's memory every tenth; fails when it grew by more than a little after the first tenth, or when the
 * logits of the first step have changed at the end.
 *
 *   node tools/bench/src/soak.mjs [--steps 100000] [--threads 2]
 */
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@rwkv-ts/backend-cpu';
import { demoModel } from '@rwkv-ts/demo-model';
import { buildProgram } from '@rwkv-ts/model';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';

/** V8's own heap breathes by about this much. */
const allowedGrowth = 24e6;

const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '100000' },
    threads: { type: 'string', default: '2' },
  },
});
const [steps, threads] = [Number(options.steps), Number(options.threads)];
if (!(Number.isInteger(steps) && steps >= 10)) throw new TypeError('--steps must be at least 10.');

const backend = createCpuBackend({ threads });
const source = await fileSource(demoModel.url);
const file = await openModel(source);
const weights = await backend.upload(file.weights({ claimed: backend.supports.weightFormats }));
const program = buildProgram(file.config);
const states = await backend.createStates(program.states, 2);
const limits = { tokens: 1, sequences: 1, wanted: 1 };
const executable = await backend.compile(program, { weights, states }, limits);

const decode = (token, slot = 0) =>
  executable.run({
    tokens: Uint32Array.of(token),
    starts: Uint32Array.of(0, 1),
    slots: Uint32Array.of(slot),
    wanted: Uint32Array.of(0),
  });
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

const first = await decode(1, 1);
const tenth = Math.floor(steps / 10);
let baseline = 0;
let failed = false;
const start = performance.now();
console.log(`${backend.name}: ${steps} steps`);
for (let step = 1; step <= steps; step++) {
  await decode(step % file.config.vocabularySize);
  if (step % 1000 === 0) states.write(0, await states.read(0));
  if (step % tenth !== 0) continue;
  const memory = process.memoryUsage.rss();
  if (baseline === 0) baseline = memory;
  const rate = (1000 * step) / (performance.now() - start);
  console.log(
    `${String(step).padStart(9)}  ${megabytes(memory)}  handles ${megabytes(backend.bytes)}  ${rate.toFixed(0)} steps/s`,
  );
  if (memory - baseline > allowedGrowth) {
    console.error(`memory grew by ${megabytes(memory - baseline)} since step ${tenth}`);
    failed = true;
    break;
  }
}
states.reset(1);
const last = await decode(1, 1);
if (!first.every((value, index) => Object.is(value, last[index]))) {
  console.error('the first step has other logits at the end');
  failed = true;
}
await backend[Symbol.asyncDispose]();
await file[Symbol.asyncDispose]();
await source[Symbol.asyncDispose]();
process.exitCode = failed ? 1 : 0;
