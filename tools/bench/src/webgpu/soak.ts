/**
 * Many decode steps of the demonstration model, with a snapshot and a restored slot now and then, and many times loading and
 * disposing: the process's memory and the device's buffers must stay what they were, and the first step's logits too.
 */
import { demoModel } from '@rwkv-ts/demo-model';
import { createWebGpuBackend } from '@rwkv-ts/backend-webgpu';
import { buildProgram } from '@rwkv-ts/model';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { figure, megabytes, table } from '../cpu/table.js';
import type { AdapterFinder } from './gpu.js';

/** V8's own heap breathes by about this much. */
const allowedGrowth = 24e6;
const parts = 10;

export interface SoakOptions {
  readonly steps: number;
  readonly cycles: number;
  readonly onLine: (text: string) => void;
}

export interface SoakResult {
  readonly name: string;
  readonly text: string;
  readonly failures: readonly string[];
}

interface Memory {
  readonly resident: number;
  readonly heap: number;
  readonly external: number;
  readonly buffers: number;
  readonly bufferBytes: number;
  readonly backendBytes: number;
}

export async function soak(
  finder: AdapterFinder,
  { steps, cycles, onLine }: SoakOptions,
): Promise<SoakResult> {
  const { adapter, watch } = await finder.find();
  const backend = await createWebGpuBackend({ adapter });
  const failures: string[] = [];
  const read = (): Memory => {
    const { heapUsed, external, rss } = process.memoryUsage();
    const { buffers, bufferBytes } = watch();
    const device = { buffers, bufferBytes, backendBytes: backend.bytes };
    return { resident: rss, heap: heapUsed, external, ...device };
  };
  const load = async () => {
    await using source = await fileSource(demoModel.url);
    await using file = await openModel(source);
    const program = buildProgram(file.config);
    const claimed = backend.supports.weightFormats;
    const weights = await backend.upload(file.weights({ claimed }), { program });
    const states = await backend.createStates(program.states, 2);
    const limits = { tokens: 1, sequences: 1, wanted: 1 };
    const executable = await backend.compile(program, { weights, states }, limits);
    const decode = (token: number, slot: number) =>
      executable.run({
        tokens: Uint32Array.of(token),
        starts: Uint32Array.of(0, 1),
        slots: Uint32Array.of(slot),
        wanted: Uint32Array.of(0),
      });
    const dispose = async () => {
      for (const handle of [executable, states, weights]) await handle[Symbol.asyncDispose]();
    };
    return { decode, states, dispose, vocabularySize: file.config.vocabularySize };
  };
  const rows: string[][] = [];
  const note = (what: string, memory: Memory, speed = ''): void => {
    const { resident, heap, external, buffers, bufferBytes, backendBytes } = memory;
    const sizes = [resident, heap, external].map((bytes) => (bytes / 1e6).toFixed(1));
    rows.push([what, ...sizes, String(buffers), String(bufferBytes), String(backendBytes), speed]);
    onLine(rows.at(-1)!.join('  '));
  };
  const grown = (what: string, { before, after }: { before: Memory; after: Memory }): void => {
    const growth = after.resident - before.resident;
    if (growth > allowedGrowth) {
      failures.push(`${what}: resident memory grew by ${megabytes(growth)} MB`);
    }
    for (const name of ['bufferBytes', 'buffers', 'backendBytes'] as const) {
      if (after[name] === before[name]) continue;
      failures.push(`${what}: ${name} went from ${before[name]} to ${after[name]}`);
    }
  };
  try {
    const model = await load();
    const first = await model.decode(1, 1);
    let baseline: Memory | undefined;
    let last = read();
    const began = performance.now();
    const part = Math.floor(steps / parts);
    for (let step = 1; step <= steps; step++) {
      await model.decode(step % model.vocabularySize, 0);
      if (step % 1000 === 0) model.states.write(0, await model.states.read(0));
      if (step % part !== 0) continue;
      last = read();
      baseline ??= last;
      const rate = (1000 * step) / (performance.now() - began);
      note(`step ${step}`, last, figure(rate));
    }
    grown(`${steps} steps`, { before: baseline ?? last, after: last });
    model.states.reset(1);
    const again = await model.decode(1, 1);
    if (!first.every((value, index) => Object.is(value, again[index]))) {
      failures.push('the first step has other logits at the end');
    }
    await model.dispose();
    const empty: Memory[] = [];
    for (let cycle = 1; cycle <= cycles; cycle++) {
      const loaded = await load();
      await loaded.decode(1, 0);
      if (cycle === 1 || cycle === cycles) note(`load ${cycle}`, read());
      await loaded.dispose();
      empty.push(read());
      if (cycle === 1 || cycle === cycles) note(`disposal ${cycle}`, empty.at(-1)!);
    }
    for (const [index, { bufferBytes, backendBytes }] of empty.entries()) {
      if (bufferBytes === 0 && backendBytes === 0) continue;
      failures.push(`disposal ${index + 1} left ${bufferBytes} bytes, ${backendBytes} counted`);
    }
    if (empty.length > 1) grown(`${cycles} loads`, { before: empty[1]!, after: empty.at(-1)! });
  } finally {
    await backend[Symbol.asyncDispose]();
  }
  return { name: backend.name, text: soakTable(rows), failures };
}

function soakTable(rows: readonly (readonly string[])[]): string {
  const titles = [
    'resident MB',
    'heap MB',
    'external MB',
    'buffers',
    'their bytes',
    'counted bytes',
  ];
  const columns = [...titles, 'steps/s'].map((title) => ({ title }));
  return table([{ title: 'after', align: 'left' }, ...columns], rows);
}
