/** How often a model's likeliest token is the right one. */
import type { Backend } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import type { WritableModel } from '@rwkv-ts/weights';
import type { TaskSample } from './tasks.js';

export interface Accuracy {
  /** Of all targets that count, the share that is right. */
  readonly tokens: number;
  /** Of the last target of each sample: what only a model that never lost track gets right. */
  readonly last: number;
  /** Samples whose every target is right. */
  readonly samples: number;
}

/** Tokens of each sample that run at once; the state carries them over. */
const chunk = 64;

/** All samples have the same length. */
export async function measureAccuracy(
  samples: readonly TaskSample[],
  { backend, model }: { readonly backend: Backend; readonly model: WritableModel },
): Promise<Accuracy> {
  const program = lower(buildProgram(model.config), backend.supports.ops);
  await using weights = await backend.upload(model.weights(), { program });
  await using states = await backend.createStates(program.states, samples.length);
  const limits = { tokens: chunk * samples.length, sequences: samples.length };
  await using executable = await backend.compile(
    program,
    { weights, states },
    { ...limits, wanted: limits.tokens },
  );
  const width = program.output.width;
  const right = samples.map(({ tokens }) => new Uint8Array(tokens.length));
  const length = samples[0]?.tokens.length ?? 0;
  for (let begin = 0; begin < length; begin += chunk) {
    const end = Math.min(begin + chunk, length);
    const count = end - begin;
    const tokens = new Uint32Array(count * samples.length);
    for (const [s, sample] of samples.entries())
      tokens.set(sample.tokens.subarray(begin, end), s * count);
    const rows = await executable.run({
      tokens,
      starts: Uint32Array.from({ length: samples.length + 1 }, (_, s) => s * count),
      slots: Uint32Array.from(samples.keys()),
      wanted: Uint32Array.from(tokens.keys()),
    });
    for (const [s, { targets }] of samples.entries()) {
      for (let t = begin; t < end; t++) {
        const row = (s * count + t - begin) * width;
        right[s]![t] = likeliest(rows.subarray(row, row + width)) === targets[t] ? 1 : 0;
      }
    }
  }
  return summarise(samples, right);
}

function likeliest(row: Float32Array | Float64Array): number {
  let best = 0;
  for (let at = 1; at < row.length; at++) if (row[at]! > row[best]!) best = at;
  return best;
}

function summarise(samples: readonly TaskSample[], right: readonly Uint8Array[]): Accuracy {
  let [counted, hits, last, whole] = [0, 0, 0, 0];
  for (const [s, { mask }] of samples.entries()) {
    const own = [...right[s]!].filter((_, t) => mask[t] === 1);
    const ownHits = own.reduce((sum, hit) => sum + hit, 0);
    counted += own.length;
    hits += ownHits;
    last += own.at(-1) ?? 0;
    if (ownHits === own.length) whole++;
  }
  const count = samples.length;
  return { tokens: hits / counted, last: last / count, samples: whole / count };
}
