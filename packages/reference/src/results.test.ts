import type { HostWeight, WeightFormat } from '@rwkv-ts/backend';
import { bytesForShape, decode } from '@rwkv-ts/formats';
import { buildProgram } from '@rwkv-ts/model';
import { lower, opKinds } from '@rwkv-ts/program';
import { describe, expect, it } from 'vitest';
import { batchOf, sessionLimits, worstDifference } from '../test/harness.js';
import { smallConfigs } from '../test/models.js';
import { runNaively } from '../test/naive.js';
import { CaseBuilder } from '../test/op-cases.js';
import { coarse, dispose, prepare, tokens } from '../test/prepare.js';
import { createRandom, hostWeights, type NamedWeights, randomWeights } from '../test/random.js';
import { createReferenceBackend } from './index.js';

describe('results', () => {
  it('have the precision of the backend and belong to the caller', async () => {
    for (const precision of ['f32', 'f64'] as const) {
      const { backend, executable, states } = await prepare({ precision });
      const rows = await executable.run(batchOf({ slot: 0, tokens }));
      expect(rows).toBeInstanceOf(precision === 'f64' ? Float64Array : Float32Array);
      expect(backend.supports.activations).toBe(precision);
      const copy = rows.slice();
      rows.fill(0);
      states.reset(0);
      expect(await executable.run(batchOf({ slot: 0, tokens }))).toEqual(copy);
      await dispose(backend);
    }
  });

  it('are the same whether coarse ops are lowered by the caller or claimed', async () => {
    const lowered = await prepare();
    const claiming = await prepare({ coarse: true });
    expect(claiming.backend.supports.ops).toEqual(opKinds);
    expect(claiming.program).toEqual(coarse);
    const batch = batchOf({ slot: 1, tokens });
    expect(await claiming.executable.run(batch)).toEqual(await lowered.executable.run(batch));
    await dispose(lowered.backend);
    await dispose(claiming.backend);
  });

  it('hold only wanted rows, and none for an empty batch', async () => {
    const { backend, program, executable, states } = await prepare();
    const all = await executable.run(batchOf({ slot: 0, tokens }));
    states.reset(0);
    const wanted = Uint32Array.of(1, 4);
    const some = await executable.run({ ...batchOf({ slot: 0, tokens }), wanted });
    const { width } = program.output;
    expect([...some]).toEqual([...all.slice(width, 2 * width), ...all.slice(4 * width)]);
    expect((await executable.run(batchOf())).length).toBe(0);
    await dispose(backend);
  });

  it('take an embedding vector for a token, side tables still by token', async () => {
    const seven = buildProgram(smallConfigs[6]!);
    const table = randomWeights(seven).get('emb.weight')!;
    const own = randomWeights(seven);
    const backend = createReferenceBackend({ precision: 'f64' });
    const program = lower(seven, backend.supports.ops);
    const bindings = {
      weights: await backend.upload(hostWeights(program, own)),
      states: await backend.createStates(program.states, 3),
    };
    const executable = await backend.compile(program, bindings, sessionLimits);
    const plain = await executable.run(batchOf({ slot: 0, tokens }));
    const rowOf = (token: number): Float32Array => table.slice(token * 15, token * 15 + 15);
    const embeddings = {
      at: Uint32Array.of(0, 3),
      vectors: Float32Array.from([...rowOf(3), ...rowOf(1)]),
    };
    const same = await executable.run({ ...batchOf({ slot: 1, tokens }), embeddings });
    expect(same).toEqual(plain);
    embeddings.vectors.fill(0.5);
    const other = await executable.run({ ...batchOf({ slot: 2, tokens }), embeddings });
    expect(worstDifference(other, plain)).toBeGreaterThan(1e-3);
    await dispose(backend);
  });

  const formats: WeightFormat[] = [
    'f32',
    'f16',
    'bf16',
    'q8_0',
    'q4_0',
    'q4_1',
    'q5_0',
    'q5_1',
    'q4_k',
    'q5_k',
    'q6_k',
  ];
  it.each(formats)('are those of the decoded weights for %s', async (format) => {
    const builder = new CaseBuilder();
    const x = builder.input(256);
    const matrix = builder.weight(6, 256);
    const program = builder.finish({ kind: 'matmul', out: builder.value(6), x, weight: matrix });
    const random = createRandom(9);
    const bytes = new Uint8Array(bytesForShape(format, [6, 256])).map(() => random() * 256);
    // Random bits could be NaN or huge: without the two highest bits of the highest byte every exponent is small. In a
    // block any byte may belong to a scale.
    const highest: Partial<Record<WeightFormat, number>> = { f32: 4, f16: 2, bf16: 2 };
    const stride = highest[format] ?? 1;
    for (let at = stride - 1; at < bytes.length; at += stride) bytes[at] = bytes[at]! & 0x3f;
    const named: NamedWeights = new Map([
      ['weight0', Float32Array.from({ length: 40 * 256 }, () => random() - 0.5)],
      [matrix, decode(format, bytes)],
    ]);
    expect(named.get(matrix)!.every(Number.isFinite)).toBe(true);
    await using backend = createReferenceBackend({ precision: 'f64' });
    async function* stream(): AsyncGenerator<HostWeight> {
      for await (const weight of hostWeights(program, named)) {
        yield weight.name === matrix ? { ...weight, format, bytes } : weight;
      }
    }
    const bindings = {
      weights: await backend.upload(stream()),
      states: await backend.createStates([], 1),
    };
    const executable = await backend.compile(program, bindings, sessionLimits);
    const rows = await executable.run(batchOf({ slot: 0, tokens }));
    const { rows: naive } = runNaively(program, { weights: named, tokens });
    expect(worstDifference(rows, naive.flat())).toBeLessThan(1e-11);
    expect(Math.max(...rows.map(Math.abs))).toBeGreaterThan(0);
  });
});
