/** A small trained RWKV-7 (989,056 parameters, one token per byte), for demonstrations and tests. */
export const demoModel = {
  /** Where the weights are: a file URL in Node, an asset URL once bundled for a browser. */
  url: new URL('../assets/rwkv7-kjv-1m.safetensors', import.meta.url),
  fileName: 'rwkv7-kjv-1m.safetensors',
  /** Bytes of the file. */
  size: 1_990_904,
  sha256: '37c76ad53b492d2b741c04d90a597c9e38571e9494548026fd20975657b33838',
  /** Token id = byte value: use `byteTokenizer()` of `@rwkv-ts/tokenizer`. */
  tokenizer: 'bytes',
} as const;
