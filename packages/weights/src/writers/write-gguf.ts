/** Writes RWKV-6 and RWKV-7 models as GGUF files that llama.cpp loads. */
import type { ByteSink } from '../byte-source.js';
import { configMetadataKey } from '../layouts/overrides.js';
import { fileTypes, type GgufFormats } from './gguf-formats.js';
import { ggufHeader, type GgufValue, padding } from './gguf-header.js';
import { expectGgufConfig, type GgufConfig, ggufTargets } from './gguf-targets.js';
import {
  emissionOrder,
  place,
  type PlacedTarget,
  streamTargets,
  unsupported,
  type WritableModel,
  type WriteProgressOptions,
} from './targets.js';

export interface WriteGgufOptions extends WriteProgressOptions {
  /** The format of each tensor: `ggufFormats('q5_k')` for llama-quantize's choice. Rows must be whole blocks. */
  readonly formats: GgufFormats;
  /**
   * RWKV World tokens by id, escaped as Python writes bytes (`\xNN`, `\n`, …), `<s>` first, as `ModelFile.worldTokens`
   * has them. Filled up to the vocabulary with `[PADi]`. Without them llama.cpp cannot run the file.
   */
  readonly worldTokens?: readonly string[];
  /** A Jinja template. Default, with tokens: `rwkv-world`, which llama.cpp knows by name. */
  readonly chatTemplate?: string;
  /** Further entries, for example `general.name`. The architecture's own keys cannot be set. */
  readonly metadata?: Readonly<Record<string, string | number | boolean>>;
}

function architectureMetadata(config: GgufConfig): [string, GgufValue][] {
  const architecture = `rwkv${config.version}`;
  const u32 = (key: string, value: number): [string, GgufValue] => [
    `${architecture}.${key}`,
    { type: 'u32', value },
  ];
  return [
    ['general.architecture', { type: 'string', value: architecture }],
    // RWKV has no limit; llama.cpp's converter writes this number.
    u32('context_length', 1048576),
    u32('embedding_length', config.channels),
    u32('block_count', config.layers),
    u32('feed_forward_length', config.channelMixSize),
    u32('attention.head_count', 0),
    [`${architecture}.attention.layer_norm_epsilon`, { type: 'f32', value: config.normEpsilon }],
    u32('wkv.head_size', config.headSize),
    ...(config.version === '6'
      ? [
          // Nothing is divided here: it only serves 16-bit residual streams.
          u32('rescale_every_n_layers', 0),
          u32('time_mix_extra_dim', config.ranks.mix),
          u32('time_decay_extra_dim', config.ranks.decay),
        ]
      : [
          u32('attention.decay_lora_rank', config.ranks.decay),
          u32('attention.iclr_lora_rank', config.ranks.rate),
          u32('attention.value_residual_mix_lora_rank', config.ranks.valueResidual),
          u32('attention.gate_lora_rank', config.ranks.gate),
        ]),
    [configMetadataKey, { type: 'string', value: JSON.stringify(config) }],
  ];
}

const tokenTypes = { normal: 1, control: 3, unused: 5 } as const;
/** `\n\n`, where a World chat's turn ends. */
const endOfTurn = { id: 261, text: '\\n\\n' } as const;

function tokenizerMetadata(
  config: GgufConfig,
  { worldTokens, chatTemplate }: WriteGgufOptions,
): [string, GgufValue][] {
  const template = (value: string): [string, GgufValue] => [
    'tokenizer.chat_template',
    { type: 'string', value },
  ];
  if (!worldTokens) return chatTemplate === undefined ? [] : [template(chatTemplate)];
  const { vocabularySize } = config;
  if (worldTokens.length > vocabularySize) {
    unsupported(
      `The model has ${vocabularySize} rows of vocabulary, the tokenizer ${worldTokens.length} tokens.`,
      {
        expected: vocabularySize,
        got: worldTokens.length,
      },
    );
  }
  const pads = Array.from(
    { length: vocabularySize - worldTokens.length },
    (_, index) => `[PAD${worldTokens.length + index}]`,
  );
  const tokens = [...worldTokens, ...pads];
  const types = tokens.map((token, id) => {
    if (id === 0) return tokenTypes.control;
    return token === `[PAD${id}]` ? tokenTypes.unused : tokenTypes.normal;
  });
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'rwkv' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'i32s', value: types }],
    ['tokenizer.ggml.bos_token_id', { type: 'u32', value: 0 }],
    ['tokenizer.ggml.eos_token_id', { type: 'u32', value: 0 }],
    ...(tokens[endOfTurn.id] === endOfTurn.text
      ? [
          ['tokenizer.ggml.eot_token_id', { type: 'u32', value: endOfTurn.id }] as [
            string,
            GgufValue,
          ],
        ]
      : []),
    template(chatTemplate ?? 'rwkv-world'),
  ];
}

/** The format that most bytes of matrices are in. */
function fileType(placed: readonly PlacedTarget[]): number {
  const bytes = new Map<PlacedTarget['format'], number>();
  for (const { format, byteLength } of placed)
    bytes.set(format, (bytes.get(format) ?? 0) + byteLength);
  const [[format]] = [...bytes].sort((a, b) => b[1] - a[1]) as [[PlacedTarget['format'], number]];
  return fileTypes[format];
}

function extraMetadata(
  { metadata = {} }: WriteGgufOptions,
  taken: ReadonlySet<string>,
): [string, GgufValue][] {
  return Object.entries(metadata).map(([key, value]) => {
    if (taken.has(key))
      throw new TypeError(`The GGUF key ${key} is told by the model and cannot be set.`);
    if (typeof value === 'string') return [key, { type: 'string', value }];
    if (typeof value === 'boolean') return [key, { type: 'bool', value }];
    const isCount = Number.isInteger(value) && value >= 0 && value < 2 ** 32;
    return [key, { type: isCount ? 'u32' : 'f32', value }];
  });
}

/**
 * Streams a model into `sink` and closes it. Numbers are converted once, from the source's format to `formats`' choice.
 * llama.cpp's per-head norm has a fixed epsilon of 64e-5; another one is kept in the metadata, where only we read it.
 * @throws WeightsError `WRITE_UNSUPPORTED` (v4, v5, v7a, a folded ln0), `TENSOR_VALUES`, `SINK_FAILED`, and what reading
 * throws; FormatsError `FORMAT_BLOCK_MISMATCH` where `formats` asks for blocks that do not fit
 */
export async function writeGguf(
  model: WritableModel,
  sink: ByteSink,
  options: WriteGgufOptions,
): Promise<void> {
  const config = expectGgufConfig(model.config);
  const order = emissionOrder(model, ggufTargets(config));
  const placed = order.map((target) => place(target, options.formats(target.name, target.shape)));
  const own: [string, GgufValue][] = [
    ...architectureMetadata(config),
    ['general.file_type', { type: 'u32', value: fileType(placed) }],
    ['general.quantization_version', { type: 'u32', value: 2 }],
    ...tokenizerMetadata(config, options),
  ];
  const extra = extraMetadata(options, new Set(own.map(([key]) => key)));
  await sink.write(ggufHeader(new Map([...own, ...extra]), placed));
  const pieces = streamTargets(model, placed, { ...options, padding });
  for await (const bytes of pieces) await sink.write(bytes);
  await sink.close();
}
