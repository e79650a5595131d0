/**
 * Many decode steps of the demonstration model, with a snapshot and a restored slot now and then, and many times loading and
 * disposing: the process's memory and the device's must stay what they were, and the first step's logits too.
 */
import type { Backend } from '@rwkv-ts/backend';
import { demoModel } from '@rwkv-ts/demo-model';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { figure, megabytes, table } from '../cpu/table.js';

/** V8's own heap breathes by about this much. */
const allowedGrowth = 24e6;
const parts = 10;

/** Something of the device that must stay what it is. */
export interface Gauge {
  readonly title: string;
  /** In messages. */
  readonly name: string;
  readonly read: () => number | Promise<number>;
  /** How far it may move; default not at all. */
  readonly tolerance?: number;
  /** Whether it is 0 when nothing is loaded. */
  readonly isZeroWhenEmpty: boolean;
}

export interface SoakOptions {
  readonly steps: number;
  readonly cycles: number;
  readonly gauges: readonly Gauge[];
  readonly onLine: (text: string) => void;
}

export interface SoakResult {
  readonly text: string;
  readonly failures: readonly string[];
}

interface Memory {
  readonly resident: number;
  readonly heap: number;
  readonly external: number;
  /** In the order of the gauges. */
  readonly device: readonly number[];
}

async function load(backend: Backend) {
  await using source = await fileSource(demoModel.url);
  await using file = await openModel(source);
  const program = lower(buildProgram(file.config), backend.supports.ops);
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
}

export async function soak(
  backend: Backend,
  { steps, cycles, gauges, onLine }: SoakOptions,
): Promise<SoakResult> {
  const log = new Log(gauges, onLine);
  const model = await load(backend);
  const first = await model.decode(1, 1);
  let baseline: Memory | undefined;
  let last = await log.read();
  const began = performance.now();
  const part = Math.floor(steps / parts);
  for (let step = 1; step <= steps; step++) {
    await model.decode(step % model.vocabularySize, 0);
    if (step % 1000 === 0) model.states.write(0, await model.states.read(0));
    if (step % part !== 0) continue;
    last = await log.read();
    baseline ??= last;
    log.note(`step ${step}`, last, figure((1000 * step) / (performance.now() - began)));
  }
  log.compare(`${steps} steps`, { before: baseline ?? last, after: last });
  model.states.reset(1);
  const again = await model.decode(1, 1);
  if (!first.every((value, index) => Object.is(value, again[index]))) {
    log.failures.push('the first step has other logits at the end');
  }
  await model.dispose();
  await loadAgain(backend, { cycles, log });
  return { text: log.table(), failures: log.failures };
}

async function loadAgain(
  backend: Backend,
  { cycles, log }: { readonly cycles: number; readonly log: Log },
): Promise<void> {
  const empty: Memory[] = [];
  for (let cycle = 1; cycle <= cycles; cycle++) {
    const loaded = await load(backend);
    await loaded.decode(1, 0);
    const isShown = cycle === 1 || cycle === cycles;
    if (isShown) log.note(`load ${cycle}`, await log.read());
    await loaded.dispose();
    empty.push(await log.read());
    log.requireEmpty(`disposal ${cycle}`, empty.at(-1)!);
    if (isShown) log.note(`disposal ${cycle}`, empty.at(-1)!);
  }
  if (empty.length > 1) {
    log.compare(`${cycles} loads`, { before: empty[1]!, after: empty.at(-1)! });
  }
}

class Log {
  readonly failures: string[] = [];
  readonly #gauges: readonly Gauge[];
  readonly #rows: string[][] = [];
  readonly #onLine: (text: string) => void;

  constructor(gauges: readonly Gauge[], onLine: (text: string) => void) {
    this.#gauges = gauges;
    this.#onLine = onLine;
  }

  async read(): Promise<Memory> {
    const { heapUsed: heap, external, rss: resident } = process.memoryUsage();
    const device: number[] = [];
    for (const gauge of this.#gauges) device.push(await gauge.read());
    return { resident, heap, external, device };
  }

  note(what: string, { resident, heap, external, device }: Memory, speed = ''): void {
    const sizes = [resident, heap, external].map((bytes) => (bytes / 1e6).toFixed(1));
    const row = [what, ...sizes, ...device.map(String), speed];
    this.#rows.push(row);
    this.#onLine(row.join('  '));
  }

  compare(what: string, { before, after }: { before: Memory; after: Memory }): void {
    const growth = after.resident - before.resident;
    if (growth > allowedGrowth) {
      this.failures.push(`${what}: resident memory grew by ${megabytes(growth)} MB`);
    }
    for (const [index, { name, tolerance = 0 }] of this.#gauges.entries()) {
      const [old, now] = [before.device[index]!, after.device[index]!];
      if (Math.abs(now - old) <= tolerance) continue;
      this.failures.push(`${what}: ${name} went from ${old} to ${now}`);
    }
  }

  requireEmpty(what: string, { device }: Memory): void {
    for (const [index, { name, isZeroWhenEmpty }] of this.#gauges.entries()) {
      if (!isZeroWhenEmpty || device[index] === 0) continue;
      this.failures.push(`${what}: ${name} is ${device[index]}, not 0`);
    }
  }

  table(): string {
    const memory = ['resident MB', 'heap MB', 'external MB'];
    const titles = [...memory, ...this.#gauges.map(({ title }) => title), 'steps/s'];
    const columns = titles.map((title) => ({ title }));
    return table([{ title: 'after', align: 'left' }, ...columns], this.#rows);
  }
}
