/** Writes a model as one safetensors file: u64 header length, JSON header, the tensors' bytes without gaps. */
import type { WeightFormat } from '@rwkv-ts/backend';
import type { ByteSink } from '../byte-source.js';
import { configMetadataKey } from '../layouts/overrides.js';
import { flaTargets } from './fla-targets.js';
import { officialConfig, officialTargets } from './official-targets.js';
import {
  emissionOrder,
  place,
  type PlacedTarget,
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

const dtypes: Readonly<Record<PlainFormat, string>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

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

function header(
  placed: readonly PlacedTarget[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  let at = 0;
  const entries = placed.map(({ name, shape, format, byteLength }): [string, object] => {
    const offsets = [at, at + byteLength];
    at += byteLength;
    return [name, { dtype: dtypes[format as PlainFormat], shape, data_offsets: offsets }];
  });
  const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  const text = new TextEncoder().encode(json);
  // Spaces up to a multiple of 8, so that readers that map the file find numbers aligned.
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
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
  const placed = order.map((target) => place(target, format ?? formatOf(model, target)));
  const metadata = {
    format: 'pt',
    'rwkv.layout': layout,
    [configMetadataKey]: JSON.stringify(officialConfig(model.config)),
  };
  await sink.write(header(placed, metadata));
  for await (const bytes of streamTargets(model, placed, progress)) await sink.write(bytes);
  await sink.close();
}
