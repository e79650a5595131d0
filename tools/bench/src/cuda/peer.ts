/**
 * Another engine beside this one, through a program that the user gives. It runs once a round for each model, with
 *
 *   --shape 7.2b --config '{"version":"7",…}' --format f16 --batch 1,8 --prefill 512 --seconds 1
 *
 * after its own words (the configuration says what sizes the shape has), and prints a line of JSON for each test: `{"test":"decode 8","rate":1234.5}`, tokens a second over
 * all sequences; the tests are `decode N` for each batch and `prefill N` for each length, and those it cannot do it leaves
 * out. A line `{"engine":"…"}` says what computes. Other lines are not read, and a status but 0 is a failure.
 */
import type { WeightFormat } from '@rwkv-ts/backend';
import { configOf, type ShapeName } from '@rwkv-ts/fixtures/shapes';
import { execute, lastLine } from '../common/execute.js';

export interface PeerRun {
  readonly engine?: string;
  /** Tokens a second, by test. */
  readonly rates: ReadonlyMap<string, number>;
  /** Instead of everything else, where it ended badly. */
  readonly failure?: string;
}

export interface PeerTask {
  readonly shape: ShapeName;
  readonly format: WeightFormat;
  readonly batch: readonly number[];
  readonly prefill: readonly number[];
  readonly seconds: number;
}

/** Never rejects. */
export async function runPeer(command: readonly string[], task: PeerTask): Promise<PeerRun> {
  const { output, errors, status } = await execute([...command, ...peerWords(task)]);
  if (status === '0') return parsePeer(output);
  const failure = `${command[0]} ended with ${status}: ${lastLine(errors || output)}`;
  return { rates: new Map(), failure };
}

export function peerWords({ shape, format, batch, prefill, seconds }: PeerTask): string[] {
  const tests = ['--batch', batch.join(','), '--prefill', prefill.join(',')];
  const model = ['--shape', shape, '--config', JSON.stringify(configOf('7', shape))];
  return [...model, '--format', format, ...tests, '--seconds', String(seconds)];
}

export function parsePeer(output: string): PeerRun {
  const rates = new Map<string, number>();
  let engine: string | undefined;
  for (const line of output.split('\n')) {
    const said = objectOf(line);
    if (typeof said['engine'] === 'string') engine = said['engine'];
    const { test, rate } = said;
    if (typeof test !== 'string' || typeof rate !== 'number') continue;
    if (Number.isFinite(rate) && rate > 0) rates.set(test, rate);
  }
  return { rates, ...(engine === undefined ? {} : { engine }) };
}

function objectOf(line: string): Readonly<Record<string, unknown>> {
  if (!line.trim().startsWith('{')) return {};
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return {};
  }
}
