/** From the file of the demonstration model to text. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { HostWeight } from '@rwkv-ts/backend';
import { demoModel } from '@rwkv-ts/demo-model';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { byteTokenizer } from '@rwkv-ts/tokenizer';
import { type ByteSource, memorySource } from '@rwkv-ts/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CachedWeights,
  GenerateError,
  type LoadProgress,
  type Model,
  type WeightCache,
  loadModel,
} from '../src/index.js';
import { testTokenizer } from './test-tokenizer.js';

const path = fileURLToPath(demoModel.url);
const greedy = { temperature: 0, presencePenalty: 0, frequencyPenalty: 0, maxTokens: 12 } as const;
let bytes: Uint8Array;
let reference: ReturnType<typeof createReferenceBackend>;
let loaded: Model;

beforeAll(async () => {
  bytes = new Uint8Array(await readFile(path));
  reference = createReferenceBackend();
  loaded = await loadModel(demoModel.url, { backend: reference, slots: 2 });
});

afterAll(async () => {
  await loaded[Symbol.asyncDispose]();
  expect(reference.bytes).toBe(0);
});

/** A source that says whether it was disposed of. */
function watched(content: Uint8Array): ByteSource & { disposed: number } {
  const source = memorySource(content, { name: 'watched.safetensors' });
  return {
    disposed: 0,
    name: source.name,
    size: source.size,
    read: (offset, length, options) => source.read(offset, length, options),
    async [Symbol.asyncDispose]() {
      this.disposed++;
      await source[Symbol.asyncDispose]();
    },
  };
}

it('takes what resolveModel made, looks beside it, and disposes of it', async () => {
  const source = watched(bytes);
  const asked: string[] = [];
  const resolved = Object.assign(source, {
    openSibling: async (name: string) => {
      asked.push(name);
      return memorySource(new TextEncoder().encode('{"model_type":"rwkv7"}'), { name });
    },
  });
  await using model = await loadModel(resolved, { backend: reference, slots: 1 });
  expect(asked).toEqual(['config.json']);
  expect(source.disposed).toBeGreaterThan(0);
  const { text } = await model.generate('In the', greedy);
  expect(text).toBe((await loaded.generate('In the', greedy)).text);
});

describe('loadModel', () => {
  it('writes scripture', async () => {
    const result = await loaded.generate('In the beginning God ', { ...greedy, maxTokens: 40 });
    expect(result.usage).toEqual({ promptTokens: 21, cachedTokens: 0, completionTokens: 40 });
    expect(loaded.config?.version).toBe('7');
    expect(loaded.tokenizer?.name).toBe('bytes');
    // A model that was trained on it knows the text far better than chance (256).
    const known = await loaded.perplexity('And God said, Let there be light: and there was light.');
    const noise = await loaded.perplexity(
      'xq zvk jjw qpt, Gzr xthwv bq kkvlx: pzz xqrrt wvk qjjj.',
    );
    expect(known.perplexity).toBeLessThan(6);
    expect(noise.perplexity).toBeGreaterThan(4 * known.perplexity);
  });

  it('loads the same from a path, URL, bytes, Blob or source', async () => {
    const { text } = await loaded.generate('And it came to pass', greedy);
    for (const source of [path, bytes, new Blob([bytes.slice()]), memorySource(bytes)]) {
      await using backend = createReferenceBackend();
      await using model = await loadModel(source, { backend, slots: 1 });
      expect(model.fingerprint).toBe(loaded.fingerprint);
      expect((await model.generate('And it came to pass', greedy)).text).toBe(text);
    }
  });

  it('tells its progress', async () => {
    await using backend = createReferenceBackend();
    const seen: LoadProgress[] = [];
    const model = await loadModel(bytes, {
      backend,
      onProgress: (progress) => seen.push(progress),
    });
    await model[Symbol.asyncDispose]();
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(['open', 'upload', 'compile']);
    const uploads = seen.filter(({ phase }) => phase === 'upload').map(({ done }) => done);
    expect(uploads).toEqual([...uploads].sort((a, b) => a - b));
    expect(uploads[0]).toBe(0);
    expect(uploads.at(-1)).toBe(seen.at(-1)?.total);
    expect(seen.at(-1)?.total).toBeGreaterThan(1_900_000);
  });

  describe('with a cache of weights', () => {
    /** Keeps the weights of one model on its backend, as `save` got them. */
    const keeper = () => {
      const kept: CachedWeights[] = [];
      let open = 0;
      const cache: WeightCache = {
        open: async () => {
          open++;
          return kept[0];
        },
        save: async (uploaded) => {
          kept.push(uploaded);
        },
      };
      return { cache, kept, opened: () => open };
    };

    it('saves what was uploaded, and then reads none of the tensors', async () => {
      await using backend = createReferenceBackend();
      const { cache, kept, opened } = keeper();
      const first = await loadModel(bytes, { backend, slots: 1, weightCache: cache });
      expect(kept).toMatchObject([{ fingerprint: loaded.fingerprint }]);
      const { text } = await first.generate('And it came to pass', greedy);

      let read = 0;
      const source = watched(bytes);
      const counted = {
        ...source,
        read: (offset: number, length: number) => {
          read += length;
          return source.read(offset, length);
        },
      };
      const phases = new Set<string>();
      await using second = await loadModel(counted, {
        backend,
        slots: 1,
        weightCache: cache,
        onProgress: ({ phase }) => phases.add(phase),
      });
      expect({ opened: opened(), kept: kept.length }).toEqual({ opened: 2, kept: 1 });
      expect(read).toBeLessThan(bytes.length / 10);
      expect([...phases]).toEqual(['open', 'compile']);
      expect(second.fingerprint).toBe(loaded.fingerprint);
      expect((await second.generate('And it came to pass', greedy)).text).toBe(text);
      const state = await loaded.prefill('In the');
      expect((await second.generate('', { ...greedy, state })).text).not.toBe('');
    });

    it('disposes of the weights with the model', async () => {
      await using backend = createReferenceBackend();
      const { cache } = keeper();
      await using model = await loadModel(bytes, { backend, slots: 1, weightCache: cache });
      await using again = await loadModel(bytes, { backend, slots: 1, weightCache: cache });
      await model[Symbol.asyncDispose]();
      await again[Symbol.asyncDispose]();
      expect(backend.bytes).toBe(0);
    });

    it.each(['open', 'save'] as const)('leaves nothing behind when it fails to %s', async (at) => {
      await using backend = createReferenceBackend();
      const fail = async () => {
        throw new RangeError('no room to keep it');
      };
      const weightCache = { ...keeper().cache, [at]: fail };
      const source = watched(bytes);
      await expect(loadModel(source, { backend, weightCache })).rejects.toThrow('no room');
      expect(source.disposed).toBeGreaterThan(0);
      expect(backend.bytes).toBe(0);
    });
  });

  it('takes a tuned state to start from', async () => {
    const blocks = loaded.stateBlocks(await loaded.prefill('And God '));
    const name = [...blocks.keys()].find((each) => each.endsWith('att.wkv'))!;
    const config = loaded.config!;
    if (config.version === '4') throw new Error('unexpected');
    const { layers, heads, headSize } = config;
    const parts: Uint8Array[] = [];
    const header: Record<string, unknown> = {};
    let offset = 0;
    for (let layer = 0; layer < layers; layer++) {
      const values = blocks.get(name.replace(/\d+/, String(layer)))!;
      header[`blocks.${layer}.att.time_state`] = {
        dtype: 'F32',
        shape: [heads, headSize, headSize],
        data_offsets: [offset, offset + values.byteLength],
      };
      offset += values.byteLength;
      parts.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
    const json = new TextEncoder().encode(JSON.stringify(header));
    const length = new Uint8Array(8);
    new DataView(length.buffer).setUint32(0, json.length, true);
    const file = new Uint8Array(
      await new Blob([length, json, ...parts.map((part) => part.slice())]).arrayBuffer(),
    );
    await using backend = createReferenceBackend();
    const initialState = watched(file);
    await using model = await loadModel(bytes, { backend, initialState, slots: 1 });
    expect(initialState.disposed).toBeGreaterThan(0);
    const got = model.stateBlocks(model.initialState!);
    for (const [block, values] of blocks) {
      if (block.endsWith('att.wkv'))
        expect(
          Buffer.compare(Buffer.from(got.get(block)!.buffer), Buffer.from(values.buffer)),
        ).toBe(0);
      else expect(got.get(block)!.every((value) => value === 0)).toBe(true);
    }
    const tuned = await model.evaluate('x');
    const plain = await loaded.evaluate('x');
    expect([...tuned.logits]).not.toEqual([...plain.logits]);
    const state = loaded.createState(got);
    expect([...tuned.logits]).toEqual([...(await loaded.evaluate('x', { state })).logits]);
  });

  it('leaves nothing behind when it fails', async () => {
    await using backend = createReferenceBackend();
    const cases: [string, Parameters<typeof loadModel>[1]][] = [
      ['VOCABULARY_MISMATCH', { backend, tokenizer: testTokenizer() }],
      ['OPTION_INVALID', { backend, slots: 0 }],
      ['OPTION_INVALID', { backend, limits: { tokens: 0 } }],
      ['OPTION_INVALID', { backend, prefillTokens: 0 }],
      ['CONFIG_INVALID', { backend, overrides: { layers: 'x' } }],
      ['ABORTED', { backend, signal: AbortSignal.abort() }],
    ];
    for (const [code, options] of cases) {
      const source = watched(bytes);
      const initialState = watched(new Uint8Array(8));
      await expect(loadModel(source, { ...options, initialState })).rejects.toMatchObject({
        code,
      });
      expect(source.disposed).toBeGreaterThan(0);
      expect(initialState.disposed).toBeGreaterThan(0);
      expect(backend.bytes).toBe(0);
    }
    await expect(loadModel(bytes.subarray(0, 100_000), { backend })).rejects.toMatchObject({
      code: expect.any(String) as string,
    });
    await expect(loadModel('./missing.pth', { backend })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(backend.bytes).toBe(0);
  });

  it.each(['open', 'upload', 'compile'])(
    'leaves nothing behind when the caller fails at %s',
    async (failing) => {
      await using backend = createReferenceBackend();
      const source = watched(bytes);
      const onProgress = ({ phase }: LoadProgress): void => {
        if (phase === failing) throw new RangeError('no room to draw');
      };
      await expect(loadModel(source, { backend, onProgress })).rejects.toThrow('no room to draw');
      expect(source.disposed).toBeGreaterThan(0);
      expect(backend.bytes).toBe(0);
    },
  );

  it('can be aborted while it uploads', async () => {
    await using backend = createReferenceBackend();
    const controller = new AbortController();
    const loading = loadModel(bytes, {
      backend,
      signal: controller.signal,
      onProgress: ({ phase, done }) => {
        if (phase === 'upload' && done > 500_000) controller.abort();
      },
    });
    await expect(loading).rejects.toMatchObject({ code: 'ABORTED' });
    expect(backend.bytes).toBe(0);
  });

  it('owns the backend on request', async () => {
    const backend = createReferenceBackend();
    const model = await loadModel(bytes, { backend, ownBackend: true, slots: 1 });
    await model[Symbol.asyncDispose]();
    const upload = backend.upload((async function* (): AsyncGenerator<HostWeight> {})());
    await expect(upload).rejects.toMatchObject({ code: 'DISPOSED' });
    const failing = createReferenceBackend();
    await expect(
      loadModel('./missing.pth', { backend: failing, ownBackend: true }),
    ).rejects.toThrow();
    await expect(failing.createStates([], 1)).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  it('refuses a state of another model', async () => {
    await using backend = createReferenceBackend();
    await using model = await loadModel(bytes, {
      backend,
      slots: 1,
      overrides: { headNormEpsilon: 1e-5 },
    });
    const state = await loaded.prefill('x');
    await expect(model.generate('x', { state })).rejects.toMatchObject({
      code: 'STATE_MISMATCH',
      expected: model.fingerprint,
      got: loaded.fingerprint,
    });
    expect(() => model.loadState(loaded.saveState(state))).toThrow(GenerateError);
  });

  it('uses a given tokenizer', async () => {
    await using backend = createReferenceBackend();
    const tokenizer = byteTokenizer();
    await using model = await loadModel(bytes, { backend, tokenizer, slots: 1 });
    expect(model.tokenizer).toBe(tokenizer);
  });
});
