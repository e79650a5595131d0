/** What a device gives at most: its copy bandwidth, and the rate of its matrix units. */
import { DeviceHolding } from './device-holding.js';
import { encodeLaunches } from './encode/arguments.js';
import type { Engine } from './engine.js';
import { kernelIndex } from './kernels/all.js';
import { probeBlocks, probeKernel, probeOperations } from './kernels/probe.js';

export interface CudaRates {
  /** Of copies within the device's memory; bytes read and bytes written, together. */
  readonly copyBytesPerSecond: number;
  /**
   * Multiplications and additions of f16 numbers with f32 sums, by `mma.sync`, the instruction that this package's
   * kernels use. On a device of compute capability 9.0 it does not reach what `wgmma` would.
   */
  readonly matrixFlopsPerSecond: number;
}

export interface MeasureOptions {
  /** Which of the backend's devices, as the driver counts them. Default its first. */
  readonly device?: number;
  /** Of one buffer; there are two, which should be larger than the device's caches. Default 256 MiB. */
  readonly copyBytes?: number;
  /** Of each of five measurements, at least. Default 0.05. */
  readonly seconds?: number;
}

const rounds = 5;

/** @throws TypeError */
export function checkMeasureOptions({ copyBytes = 4, seconds = 0 }: MeasureOptions): void {
  if (!Number.isSafeInteger(copyBytes) || copyBytes < 4)
    throw new TypeError(`copyBytes must be an integer from 4, got ${copyBytes}.`);
  if (!Number.isFinite(seconds) || seconds < 0)
    throw new TypeError(`seconds must be a number from 0, got ${seconds}.`);
}

/** @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST` */
export async function measureRates(
  engine: Engine,
  { copyBytes = 2 ** 28, seconds = 0.05 }: MeasureOptions,
): Promise<CudaRates> {
  const copies = await copiesPerSecond(engine, { bytes: copyBytes, seconds });
  const matrixFlopsPerSecond = await flopsPerSecond(engine, seconds);
  return { copyBytesPerSecond: 2 * copyBytes * copies, matrixFlopsPerSecond };
}

async function copiesPerSecond(
  engine: Engine,
  { bytes, seconds }: { readonly bytes: number; readonly seconds: number },
): Promise<number> {
  const { addon, handle } = engine;
  const holding = new DeviceHolding(engine);
  try {
    const what = 'Measuring copies';
    const from = await holding.allocate({ bytes, what });
    const to = await holding.allocate({ bytes, what });
    await engine.guard(addon.fillZero(handle, from, bytes), what);
    return await ratePerSecond(seconds, async (times) => {
      const parts = Float64Array.from({ length: 3 * times }, (_, index) =>
        index % 3 === 2 ? bytes : [to, from][index % 3]!,
      );
      const began = performance.now();
      await engine.guard(addon.copy(handle, parts), what);
      await finished(engine, to);
      return (performance.now() - began) / 1000;
    });
  } finally {
    await holding.release();
  }
}

async function flopsPerSecond(engine: Engine, seconds: number): Promise<number> {
  const holding = new DeviceHolding(engine);
  const blocks = probeBlocks * engine.facts.multiprocessors;
  try {
    const bytes = 4 * blocks * probeKernel.threads;
    const out = await holding.allocate({ bytes, what: 'Measuring matrix units' });
    const perSecond = await ratePerSecond(seconds, async (times) => {
      const launch = {
        kernel: probeKernel,
        index: kernelIndex(probeKernel),
        grid: [blocks, 1] as const,
        values: { out, rounds: times },
      };
      const began = performance.now();
      await engine.launch(encodeLaunches([launch]));
      await finished(engine, out);
      return (performance.now() - began) / 1000;
    });
    return perSecond * blocks * probeOperations;
  } finally {
    await holding.release();
  }
}

/** Copies and launches resolve when they are queued; a download comes after all of them. */
async function finished(engine: Engine, address: number): Promise<void> {
  const { addon, handle } = engine;
  const downloaded = addon.download(handle, new Uint8Array(4), Float64Array.of(address, 0, 4));
  await engine.guard(downloaded, 'A measurement');
}

/**
 * How often a second `run` does its work, from the times for doing it `times` times and once: their difference leaves out
 * what a call costs anyway. The median of `rounds`.
 */
async function ratePerSecond(
  seconds: number,
  run: (times: number) => Promise<number>,
): Promise<number> {
  let times = 2;
  // The first call is slower than any other.
  await run(times);
  while ((await run(times)) < seconds) times *= 2;
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const difference = (await run(times)) - (await run(1));
    if (difference > 0) rates.push((times - 1) / difference);
  }
  rates.sort((a, b) => a - b);
  return rates[rates.length >> 1] ?? times / (await run(times));
}
