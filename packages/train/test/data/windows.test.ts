import {
  createWindowSampler,
  createWindowStream,
  memoryTokens,
  splitHeldOut,
  type TokenData,
  type TrainingWindow,
  type WindowOrder,
} from '@rwkv-ts/train';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** Data that has only a size: a sampler looks at nothing else. */
function dataOf(tokens: number): TokenData {
  return { ...memoryTokens(new Uint32Array(0)), tokens };
}

function counting(count: number, options: Parameters<typeof memoryTokens>[1] = {}): TokenData {
  return memoryTokens(
    Uint32Array.from({ length: count }, (_, at) => at),
    options,
  );
}

describe('the permuted order', () => {
  it('is that of RWKV-LM', async () => {
    // (factor * ii ** 3 % magic_prime) * ctx_len with factor = int(magic_prime * (math.sqrt(5) - 1) / 2), by Python.
    const minipile = createWindowSampler(dataOf(1498226207), { order: 'permuted', context: 512 });
    expect(minipile.windows).toBe(2926181);
    const starts = async (sampler: typeof minipile, places: number[]) =>
      Promise.all(places.map(async (place) => (await sampler.range(place - 1)).offset));
    expect(await starts(minipile, [1, 2, 3, 4, 1000, 123456789])).toEqual([
      925941248, 1414711296, 1029138944, 830257664, 31507968, 156955136,
    ]);
    const pile = createWindowSampler(dataOf(332115325534), { order: 'permuted', context: 4096 });
    expect(await starts(pile, [1, 2, 3, 40320 * 7 + 5])).toEqual([
      205258489856, 313607045120, 228135731200, 216999821312,
    ]);
  });

  it('visits every window once a round, whatever the seed', async () => {
    const sizes = fc.record({
      context: fc.integer({ min: 1, max: 9 }),
      slots: fc.integer({ min: 3, max: 200 }),
      rest: fc.nat(8),
      seed: fc.oneof(fc.constant(0), fc.nat()),
      from: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ context, slots, rest, seed, from }) => {
        const tokens = slots * context + Math.min(rest, context - 1);
        const sampler = createWindowSampler(dataOf(tokens), { order: 'permuted', context, seed });
        const seen = new Set<number>();
        for (let index = from; index < from + sampler.windows; index++) {
          const { offset, length } = await sampler.range(index);
          expect(length).toBe(context + 1);
          expect(offset % context).toBe(0);
          expect(offset + length).toBeLessThanOrEqual(tokens);
          seen.add(offset);
        }
        expect(seen.size).toBe(sampler.windows);
      }),
    );
  });

  it('has another order for another seed, and needs three windows', async () => {
    const data = dataOf(10_000);
    const order = async (seed: number) => {
      const sampler = createWindowSampler(data, { order: 'permuted', context: 10, seed });
      return Promise.all([0, 1, 2, 3, 4].map(async (index) => (await sampler.range(index)).offset));
    };
    expect(await order(1)).toEqual(await order(1));
    expect(await order(1)).not.toEqual(await order(0));
    expect(await order(1)).not.toEqual(await order(2));
    expect(() => createWindowSampler(dataOf(29), { order: 'permuted', context: 10 })).toThrow(
      /at least 30 tokens, here are 29/,
    );
  });
});

describe('the sequential order', () => {
  it('predicts every token but the first exactly once a round', async () => {
    for (const [tokens, context] of [
      [2, 5],
      [11, 5],
      [12, 5],
      [13, 5],
      [50, 7],
    ] as const) {
      const stream = createWindowStream(counting(tokens), { order: 'sequential', context });
      for (let round = 0; round < 2; round++) {
        const targets: number[] = [];
        for (let left = stream.windowsPerRound; left > 0; left--) {
          const window = await stream.next();
          expect(window.tokens.length).toBeLessThanOrEqual(context);
          expect([...window.targets]).toEqual([...window.tokens].map((token) => token + 1));
          targets.push(...window.targets);
        }
        expect(targets).toEqual(Array.from({ length: tokens - 1 }, (_, at) => at + 1));
      }
    }
  });
});

describe('the order of documents', () => {
  const lengths = [3, 1, 8, 2, 5, 1, 1, 20, 4];
  const total = lengths.reduce((sum, length) => sum + length);

  it('gives each document once a round, cut at the context, in orders that differ', async () => {
    const data = counting(total, { documents: lengths });
    const stream = createWindowStream(data, { order: 'documents', context: 6, seed: 5 });
    const rounds: number[][] = [];
    const starts = lengths.map((_, at) => lengths.slice(0, at).reduce((a, b) => a + b, 0));
    for (let round = 0; round < 6; round++) {
      const offsets: number[] = [];
      // Three documents have nothing to predict and are left out.
      for (let left = 6; left > 0; left--) {
        const { offset, tokens } = await stream.next();
        const document = starts.indexOf(offset);
        expect(tokens).toHaveLength(Math.min(lengths[document]! - 1, 6));
        offsets.push(offset);
      }
      expect([...offsets].sort((a, b) => a - b)).toEqual([0, 4, 12, 14, 21, 41]);
      rounds.push(offsets);
    }
    expect(new Set(rounds.map(String)).size).toBeGreaterThan(3);
  });

  it('is a permutation for every number of documents', async () => {
    for (let documents = 1; documents < 70; documents++) {
      const data = counting(2 * documents, { documents: new Array<number>(documents).fill(2) });
      const sampler = createWindowSampler(data, { order: 'documents', context: 1, seed: 3 });
      const seen = new Set<number>();
      for (let index = 0; index < documents; index++) seen.add((await sampler.range(index)).offset);
      expect(seen.size).toBe(documents);
    }
  });
});

describe('a stream of windows', () => {
  const mask = Uint8Array.from({ length: 300 }, (_, at) => (at % 60 < 25 ? 0 : 1));
  const data = counting(300, { mask, documents: new Array<number>(30).fill(10) });

  it('says which targets are learned, and leaves out windows that have none', async () => {
    const stream = createWindowStream(data, { order: 'sequential', context: 10 });
    const first = await stream.next();
    // Targets 1 to 20 are masked.
    expect(first.index).toBe(2);
    expect([...first.targets]).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
    expect([...first.mask]).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    const nothing = memoryTokens(new Uint32Array(40), { mask: new Uint8Array(40) });
    const empty = createWindowStream(nothing, { order: 'sequential', context: 10 });
    await expect(empty.next()).rejects.toMatchObject({ code: 'TOO_FEW_TOKENS' });
  });

  it.each(['permuted', 'sequential', 'documents'] satisfies WindowOrder[])(
    'goes on from a position, %s',
    async (order) => {
      const options = { order, context: 10, seed: 7 };
      const whole = createWindowStream(data, options);
      const windows: TrainingWindow[] = [];
      const positions: string[] = [JSON.stringify(whole.position())];
      for (let left = 80; left > 0; left--) {
        windows.push(await whole.next());
        positions.push(JSON.stringify(whole.position()));
      }
      for (const done of [0, 1, 29, 63]) {
        const position = JSON.parse(positions[done]!) as ReturnType<typeof whole.position>;
        const resumed = createWindowStream(data, { ...options, position });
        // Fetched ahead, without waiting.
        const rest = await Promise.all(Array.from({ length: 80 - done }, () => resumed.next()));
        expect(rest).toEqual(windows.slice(done));
        expect(JSON.stringify(resumed.position(rest[0]))).toBe(positions[done + 1]);
      }
    },
  );

  it('takes no position of other data or another order, and none that is none', () => {
    const options = { order: 'sequential', context: 10 } as const;
    const position = createWindowStream(data, options).position();
    const open = (wrong: unknown) => () =>
      createWindowStream(data, { ...options, position: wrong as typeof position });
    expect(open(position)).not.toThrow();
    for (const wrong of [
      { ...position, tokens: 299 },
      { ...position, order: 'permuted' },
      { ...position, seed: 1 },
      { ...position, version: 2 },
      { ...position, index: -1 },
      { ...position, index: '5' },
      null,
      'position',
    ])
      expect(open(wrong)).toThrow(expect.objectContaining({ code: 'POSITION_INVALID' }));
  });

  it('gives a window again that could not be read', async () => {
    let fails = true;
    const flaky: TokenData = {
      ...data,
      read: async (...range) => (fails ? Promise.reject(new Error('disk')) : data.read(...range)),
    };
    const stream = createWindowStream(flaky, { order: 'permuted', context: 10 });
    await expect(stream.next()).rejects.toThrow('disk');
    fails = false;
    const expected = await createWindowStream(data, { order: 'permuted', context: 10 }).next();
    expect(await stream.next()).toEqual(expected);
  });
});

describe('splitHeldOut', () => {
  it('cuts between documents where it can', async () => {
    const lengths = [10, 30, 40, 15, 5];
    const mask = Uint8Array.from({ length: 100 }, (_, at) => at % 2);
    const data = counting(100, { documents: lengths, mask });
    const { training, heldOut } = await splitHeldOut(data, { share: 0.25 });
    expect(training).toMatchObject({ tokens: 80, documents: 3 });
    expect(heldOut).toMatchObject({ tokens: 20, documents: 2 });
    expect(await training.document(2)).toEqual({ offset: 40, length: 40 });
    expect(await heldOut.document(0)).toEqual({ offset: 0, length: 15 });
    expect([...(await heldOut.read(13, 4))]).toEqual([93, 94, 95, 96]);
    expect([...(await heldOut.readMask!(13, 4))]).toEqual([1, 0, 1, 0]);
    await expect(training.read(79, 2)).rejects.toThrow(RangeError);
    await expect(heldOut.document(2)).rejects.toThrow(RangeError);
  });

  it('cuts a document where none begins', async () => {
    const { training, heldOut } = await splitHeldOut(counting(100, { documents: [10, 90] }), {
      share: 0.1,
    });
    expect([training.tokens, heldOut.tokens]).toEqual([90, 10]);
    expect([training.documents, heldOut.documents]).toEqual([2, 1]);
    expect(await training.document(1)).toEqual({ offset: 10, length: 80 });
    expect(await heldOut.document(0)).toEqual({ offset: 0, length: 10 });
    await expect(splitHeldOut(counting(9), { share: 0.6 })).rejects.toThrow(TypeError);
  });
});
