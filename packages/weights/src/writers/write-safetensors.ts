/** Writes a model as one safetensors file: u64 header length, JSON header, the tensors' bytes without gaps. */
import type { WeightFormat } from '@rwkv-ts/backend';
import type { ByteSink } from '../byte-source.js';
import { configMetadataKey } from '../layouts/overrides.js';
import { flaTargets } from './fla-targets.js';
import { officialConfig, officialTargets } from './official-targets.js';
import { safetensorsHeader } from './safetensors-header.js';
import {
  emissionOrder,
  place,
  streamTargets,
  type Target,
  type WritableModel,
  type WriteProgressOptions,
} from './targets.js';

export type PlainFormat = 'f32' | 'f16' | 'bf16';

export interface WriteSafetensorsOptions extends WriteProgressOptions {
  /** `official`: BlinkDL's names, shapes and orientation. `fla`: flash-linear-attention's, for v6 and v7. */
  readonly layout: 'official' | 'fla';
  /**
   * For all tensors. Default: each keeps its own where safetensors has it (f32, f16, bf16); blocks become f32, which holds
   * them exactly.
   */
  readonly format?: PlainFormat;
}

function isPlain(format: WeightFormat): format is PlainFormat {
  return format === 'f32' || format === 'f16' || format === 'bf16';
}

/** The format that holds all parts exactly: theirs where they agree and nothing is computed, else f32. */
function formatOf(model: WritableModel, target: Target): PlainFormat {
  const parts = new Set(
    model.tensors.filter(({ name }) => target.from.includes(name)).map(({ format }) => format),
  );
  const [format] = parts;
  const computed = target.change !== undefined && target.name.endsWith('.att.time_decay');
  return parts.size === 1 && format !== undefined && isPlain(format) && !computed ? format : 'f32';
}

/**
 * Streams a model into `sink` and closes it. Decays that the source stores with their function applied (rwkv.cpp) are
 * turned back into official ones with log, in f64, and stored as f32: reading them again gives the same decay within f32
 * rounding. Every other number is kept exactly unless `format` narrows it.
 * @throws WeightsError `WRITE_UNSUPPORTED`, `TENSOR_VALUES` (a number beyond `format`), `SINK_FAILED`, and what reading throws
 */
export async function writeSafetensors(
  model: WritableModel,
  sink: ByteSink,
  { layout, format, ...progress }: WriteSafetensorsOptions,
): Promise<void> {
  const targets = layout === 'fla' ? flaTargets(model.config) : officialTargets(model.config);
  const order = emissionOrder(model, targets);
  const placed = order.map((target) => {
    const chosen = format ?? formatOf(model, target);
    return { ...place(target, chosen), format: chosen };
  });
  const metadata = {
    format: 'pt',
    'rwkv.layout': layout,
    [configMetadataKey]: JSON.stringify(officialConfig(model.config)),
  };
  await sink.write(safetensorsHeader(placed, metadata));
  for await (const bytes of streamTargets(model, placed, progress)) await sink.write(bytes);
  await sink.close();
}
