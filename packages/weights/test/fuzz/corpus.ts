/** Small whole files of every container: what the fuzz tests start from. */
import {
  patternTensor,
  safetensorsOf,
  writeGgufRaw,
  writePth,
  writeRwkvCppBin,
  writeSafetensorsRaw,
} from '../writers/index.js';
import type { GgufValue, PthContents } from '../writers/index.js';

const plain = [
  patternTensor('emb.weight', [4, 3], 'f32'),
  patternTensor('blocks.0.ln1.weight', [3], 'bf16'),
  patternTensor('blocks.0.att.time_decay', [1, 1, 3], 'f16'),
];
const blocks = [
  patternTensor('token_embd.weight', [2, 32], 'q8_0'),
  patternTensor('output_norm.weight', [4], 'f32'),
  patternTensor('blk.0.time_mix_key.weight', [1, 256], 'q4_k'),
];

/** Tensors of their own, two views of one storage, one of them transposed, and a parameter. */
export const pthContents: PthContents = {
  tensors: [
    ...plain,
    { ...patternTensor('a', [2, 3], 'f32'), view: { storage: 's', offset: 1, strides: [1, 2] } },
    { ...patternTensor('b', [2], 'f32'), view: { storage: 's', offset: 5, strides: [1] } },
    { ...patternTensor('c', [2], 'i64'), as: 'parameter' },
  ],
  storages: new Map([['s', patternTensor('s', [7], 'f32').bytes]]),
  scalars: { _version: 0.7, _strategy: 'cpu fp32', ready: true },
  zip: { alignment: 1 },
};

export const pthFiles = [
  writePth(pthContents),
  writePth({
    ...pthContents,
    wrapper: 'state_dict',
    protocol: 4,
    byteOrder: 'little',
    zip: { alignment: 16, form: 'zip64' },
  }),
];
export const deflatedPthFile = writePth({ ...pthContents, method: 'deflated' });

export const safetensorsFiles = [
  writeSafetensorsRaw({ tensors: plain, metadata: { format: 'pt' } }),
  writeSafetensorsRaw({
    tensors: [
      patternTensor('x', [2, 0], 'f32'),
      patternTensor('y', [], 'f64'),
      patternTensor('z', [5], 'i8'),
    ],
  }),
];

const metadata: Readonly<Record<string, GgufValue>> = {
  'general.architecture': { type: 'string', value: 'rwkv7' },
  'rwkv7.block_count': { type: 'u32', value: 1 },
  'rwkv7.epsilon': { type: 'f32', value: 1e-5 },
  big: { type: 'u64', value: 2n ** 60n },
  flag: { type: 'bool', value: true },
  small: {
    type: 'array',
    of: 'i16',
    values: [
      { type: 'i16', value: -3 },
      { type: 'i16', value: 4 },
    ],
  },
  'tokenizer.ggml.tokens': {
    type: 'array',
    of: 'string',
    values: ['<s>', 'a', '\\x00'].map((value) => ({ type: 'string', value })),
  },
  nested: {
    type: 'array',
    of: 'array',
    values: [{ type: 'array', of: 'u8', values: [{ type: 'u8', value: 9 }] }],
  },
};

export const ggufFiles = [
  writeGgufRaw({ tensors: blocks, metadata }),
  writeGgufRaw({ tensors: plain, version: 2, alignment: 8 }),
];

const header = { vocabulary: 4, width: 3, layers: 1 };
export const rwkvCppFiles = [
  writeRwkvCppBin({ ...header, tensors: [plain[0]!, plain[2]!, ...blocks], format: 'q8_0' }),
  writeRwkvCppBin({ ...header, tensors: [plain[0]!, plain[2]!], version: 100 }),
];

export const indexText = JSON.stringify({
  metadata: { total_size: 60 },
  weight_map: {
    'emb.weight': 'model-00001-of-00002.safetensors',
    'blocks.0.ln1.weight': 'model-00002-of-00002.safetensors',
    'blocks.0.att.time_decay': 'model-00002-of-00002.safetensors',
  },
});
export const shards: ReadonlyMap<string, Uint8Array> = new Map([
  ['model-00001-of-00002.safetensors', writeSafetensorsRaw({ tensors: plain.slice(0, 1) })],
  ['model-00002-of-00002.safetensors', writeSafetensorsRaw({ tensors: plain.slice(1) })],
]);

/** The JSON header of a safetensors file, and the bytes after it. */
export function splitSafetensors(file: Uint8Array): { header: string; data: Uint8Array } {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  return {
    header: new TextDecoder().decode(file.subarray(8, 8 + length)),
    data: file.subarray(8 + length),
  };
}

export { safetensorsOf };
