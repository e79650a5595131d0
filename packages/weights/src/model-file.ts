/** An opened model: what it is, and its weights as a stream of canonical tensors, one in memory at a time. */
import type { HostWeight, WeightFormat } from '@rwkv-ts/backend';
import { bytesForShape, convertFormat } from '@rwkv-ts/formats';
import type { RwkvConfig } from '@rwkv-ts/model';
import { type AdapterFiles, type AdapterStep, readAdapter } from './adapters/load-adapter.js';
import { WeightsError } from './errors.js';
import { expectFinite } from './finite.js';
import { canonicalise, type CanonicalReading, pieceSources } from './layouts/canonical.js';
import { deduceConfig } from './layouts/deduce-config.js';
import { detectLayout, readLayout } from './layouts/detect.js';
import { bytesOfF32, f32OfBytes } from './layouts/f32-bytes.js';
import { type MatchedWeight, matchWeights } from './layouts/match.js';
import { materialise, pieceFormat, TensorReader } from './layouts/materialise.js';
import {
  applyOverrides,
  configMetadataKey,
  type ConfigOverrides,
  factsOfConfigJson,
  factsOfMetadata,
} from './layouts/overrides.js';
import type { JsonObject, LayoutName, LayoutReading, Piece } from './layouts/types.js';
import type { Container, MetadataValue, RawFile } from './raw-file.js';
import { readStates, type StateOptions, type WkvStates } from './states.js';

/** One weight as `weights()` will deliver it when its format is claimed. */
export interface ModelTensor {
  /** Canonical: see `canonicalWeights` of `@rwkv-ts/model`. */
  readonly name: string;
  readonly shape: readonly number[];
  /**
   * f32 where an adapter changes the weight, where the file's format is none that devices know, or where blocks are cut.
   * A GGUF file of RWKV-6 may still deliver f32 for a block format when a power of two does not fit its scales.
   */
  readonly format: WeightFormat;
  /** Of `format`. */
  readonly byteLength: number;
  /** The names in the file that it is made from. */
  readonly from: readonly string[];
}

export interface WeightsProgress {
  readonly tensors: number;
  readonly tensorsTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
}

export interface WeightsOptions {
  /** Formats that the backend computes on; weights in others are converted, without loss, to one of these. Default: all. */
  readonly claimed?: ReadonlySet<WeightFormat>;
  readonly signal?: AbortSignal;
  /** Called after each tensor that the consumer took. Bytes are those of `ModelFile.tensors`. */
  readonly onProgress?: (progress: WeightsProgress) => void;
}

export interface ModelFile extends AsyncDisposable {
  readonly name: string;
  readonly container: Container;
  readonly layout: LayoutName;
  readonly config: RwkvConfig;
  /** In streaming order, which follows the file. */
  readonly tensors: readonly ModelTensor[];
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** What was done or ignored without being asked, for people. */
  readonly notes: readonly string[];
  /** GGUF: `tokenizer.ggml.tokens` of the RWKV World tokenizer, still escaped, by token id. */
  readonly worldTokens?: readonly string[];
  readonly chatTemplate?: string;
  /** Present where the file (or an adapter) holds tuned initial states. */
  readonly initialStates?: (options?: StateOptions) => Promise<WkvStates>;
  /**
   * Every weight once, checked for NaN and infinity. May be called several times. Host memory: the largest tensor;
   * where it is converted, as it is stored and as it is delivered.
   * @throws WeightsError `TENSOR_VALUES`, `ABORTED`, and what reading throws; FormatsError `FORMAT_NO_LOSSLESS_TARGET`
   */
  weights(options?: WeightsOptions): AsyncIterable<HostWeight>;
}

export interface InterpretOptions {
  /** Corrects fields of the configuration that the file cannot tell or tells wrongly. */
  readonly overrides?: ConfigOverrides | undefined;
  /** The parsed config.json beside Hugging Face files: epsilons, and whether ln0 is folded. Tensors win on sizes. */
  readonly configJson?: JsonObject | undefined;
  /** Skips detection: for files whose names fit two layouts. */
  readonly layout?: LayoutName | undefined;
}

interface PlannedWeight extends MatchedWeight {
  readonly steps: readonly AdapterStep[];
}

interface Interpretation {
  readonly reading: LayoutReading;
  readonly canonical: CanonicalReading;
  readonly config: RwkvConfig;
  readonly weights: readonly MatchedWeight[];
  readonly notes: readonly string[];
}

function interpret(
  file: RawFile,
  { overrides, configJson, layout }: InterpretOptions,
): Interpretation {
  const detected = layout ?? detectLayout(file, { configJson });
  const reading = readLayout(file, { layout: detected, configJson });
  const canonical = canonicalise(reading);
  const facts = {
    ...factsOfConfigJson(configJson),
    ...reading.facts,
    ...factsOfMetadata(file.metadata.get(configMetadataKey), file.name),
  };
  const deduced = deduceConfig({ reading: canonical, facts, file: file.name });
  const config = applyOverrides(deduced, overrides ?? {});
  const pieces = new Map(canonical.pieces);
  const notes = [...canonical.notes];
  if (config.embeddingNorm === 'folded') {
    const dropped = ['weight', 'bias'].filter((part) => pieces.delete(`blocks.0.ln0.${part}`));
    if (dropped.length > 0)
      notes.push('ln0 was ignored: the embedding table has already gone through it.');
  }
  if (configJson?.['tie_word_embeddings'] === true && !pieces.has('head.weight')) {
    pieces.set('head.weight', { ...pieces.get('emb.weight')!, name: 'head.weight' });
    notes.push('The head is the embedding table: config.json ties them.');
  }
  const matched = matchWeights({ config, pieces, unknown: reading.unknown, file });
  notes.push(...matched.notes);
  return { reading, canonical, config, weights: matched.weights, notes };
}

function addAdapters(
  { config, weights }: Interpretation,
  adapters: readonly AdapterFiles[],
): {
  weights: readonly PlannedWeight[];
  states: ReadonlyMap<number, Piece>;
  notes: readonly string[];
} {
  const targets = new Map(weights.map((weight) => [weight.name, weight]));
  const planned = new Map(
    weights.map((weight) => [weight.name, { ...weight, steps: [] as AdapterStep[] }]),
  );
  const states = new Map<number, Piece>();
  const notes: string[] = [];
  for (const files of adapters) {
    const adapter = readAdapter({ files, targets });
    for (const [name, piece] of adapter.replacements) {
      if (
        'decayForm' in config &&
        config.decayForm === 'applied' &&
        name.endsWith('.att.time_decay')
      ) {
        throw new WeightsError({
          code: 'ADAPTER_INVALID',
          message: `${files.file.name} replaces ${name}, which the base model stores after a function was applied to it; use the base model's original file.`,
          expected: 'official',
          got: 'applied',
        });
      }
      planned.set(name, { ...targets.get(name)!, piece, steps: [] });
    }
    for (const [name, step] of adapter.steps) planned.get(name)!.steps.push(step);
    for (const [layer, piece] of adapter.states) states.set(layer, piece);
    notes.push(
      `${files.file.name}: ${adapter.steps.size} weights adapted (they become f32), ${adapter.replacements.size} replaced.`,
    );
  }
  return { weights: [...planned.values()], states, notes };
}

/** File order makes reads sequential; weights cut from one tensor stay together. */
function inFileOrder(file: RawFile, weights: readonly PlannedWeight[]): readonly PlannedWeight[] {
  const position = new Map([...file.tensors.values()].map((tensor, index) => [tensor, index]));
  const of = ({ piece }: PlannedWeight): number => position.get(piece.parts[0]!.tensor) ?? Infinity;
  const sorted = weights.map((weight, index) => ({ weight, index, at: of(weight) }));
  sorted.sort((a, b) => (a.at === b.at ? a.index - b.index : a.at < b.at ? -1 : 1));
  return sorted.map(({ weight }) => weight);
}

function plannedTensor({ name, shape, piece, steps }: PlannedWeight): ModelTensor {
  const format = steps.length > 0 ? 'f32' : pieceFormat(piece, shape);
  return {
    name,
    shape,
    format,
    byteLength: bytesForShape(format, shape),
    from: pieceSources(piece),
  };
}

/** f64 has more digits than anything here computes with; dropping them is worth a word. */
function roundingNotes(weights: readonly PlannedWeight[]): readonly string[] {
  const rounded = weights.filter(({ piece }) =>
    piece.parts.some(({ tensor }) => tensor.format === 'f64'),
  );
  return rounded.length > 0 ? [`${rounded.length} weights stored in f64 are rounded to f32.`] : [];
}

function expectNotAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new WeightsError({
    code: 'ABORTED',
    message: 'Loading was aborted.',
    cause: signal.reason,
  });
}

async function deliver(
  weight: PlannedWeight,
  {
    reader,
    claimed,
    signal,
  }: Pick<WeightsOptions, 'claimed' | 'signal'> & { reader: TensorReader },
): Promise<HostWeight> {
  const { name, shape, piece, steps } = weight;
  let { format, bytes } = await materialise({ piece, shape, reader, signal });
  if (steps.length > 0) {
    const values = f32OfBytes(format, bytes);
    const matrix = { values, out: shape[0]!, in: shape[1]! };
    for (const step of steps) await step(matrix, signal ? { signal } : {});
    format = 'f32';
    bytes = bytesOfF32(values);
  }
  expectFinite({ name, from: pieceSources(piece), format, bytes });
  const converted = claimed ? convertFormat({ format, shape, bytes }, claimed) : { format, bytes };
  return { name, shape, format: converted.format, bytes: converted.bytes };
}

/** What a GGUF file says about tokens and chat. */
function tokenizerOf(file: RawFile): Pick<ModelFile, 'worldTokens' | 'chatTemplate'> {
  const tokens = file.metadata.get('tokenizer.ggml.tokens');
  const isWorld = file.metadata.get('tokenizer.ggml.model') === 'rwkv' && Array.isArray(tokens);
  const template = file.metadata.get('tokenizer.chat_template');
  return {
    ...(isWorld ? { worldTokens: tokens.map(String) } : {}),
    ...(typeof template === 'string' ? { chatTemplate: template } : {}),
  };
}

/**
 * Makes a model of an opened container. Disposing of the model disposes of `file` and of the adapters' files.
 * @throws WeightsError `LAYOUT_UNKNOWN`, `LAYOUT_REFUSED`, `TENSOR_MISSING`, `TENSOR_UNEXPECTED`, `TENSOR_DUPLICATE`,
 * `TENSOR_SHAPE`, `ADAPTER_INVALID`; ModelError `CONFIG_INVALID`
 */
export function modelOfRawFile(
  file: RawFile,
  {
    adapters = [],
    ...options
  }: InterpretOptions & { readonly adapters?: readonly AdapterFiles[] } = {},
): ModelFile {
  const interpretation = interpret(file, options);
  const { config, reading, canonical, notes } = interpretation;
  const adapted = addAdapters(interpretation, adapters);
  const planned = inFileOrder(file, adapted.weights);
  const tensors = planned.map(plannedTensor);
  const bytesTotal = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);

  async function* weights({
    claimed,
    signal,
    onProgress,
  }: WeightsOptions = {}): AsyncGenerator<HostWeight> {
    const reader = new TensorReader(planned.map(({ piece }) => piece));
    let bytes = 0;
    for (const [index, weight] of planned.entries()) {
      expectNotAborted(signal);
      yield await deliver(weight, {
        reader,
        ...(claimed ? { claimed } : {}),
        ...(signal ? { signal } : {}),
      });
      bytes += tensors[index]!.byteLength;
      onProgress?.({ tensors: index + 1, tensorsTotal: tensors.length, bytes, bytesTotal });
    }
  }

  // An adapter's states replace the file's as a whole: the two may be stored in different orders.
  const states = adapted.states.size > 0 ? adapted.states : canonical.states;
  // web-rwkv's converter turns every time_state; adapters' files are official ones.
  const turned = reading.layout === 'web-rwkv-st' && adapted.states.size === 0;
  return {
    name: file.name,
    container: file.container,
    layout: reading.layout,
    config,
    tensors,
    metadata: file.metadata,
    notes: [...notes, ...roundingNotes(planned), ...adapted.notes],
    ...tokenizerOf(file),
    ...(states.size > 0
      ? {
          initialStates: (stateOptions: StateOptions = {}) =>
            readStates({
              states,
              config,
              file: file.name,
              orientation: turned ? 'key-value' : 'value-key',
              ...stateOptions,
            }),
        }
      : {}),
    weights,
    [Symbol.asyncDispose]: async () => {
      for (const adapter of adapters) {
        await adapter.initFile?.[Symbol.asyncDispose]();
        await adapter.file[Symbol.asyncDispose]();
      }
      await file[Symbol.asyncDispose]();
    },
  };
}
