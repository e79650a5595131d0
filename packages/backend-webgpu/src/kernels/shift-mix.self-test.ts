import type { ShiftMixShape } from './shift-mix.js';
import { type SelfTest, testHeader, TestMemory, testNumbers } from './self-test.js';

const lengths = [2, 3] as const;
const tokens = 5;
/** More than a workgroup, and less than two. */
const width = 301;
const eps = 1e-2;

/** Two sequences, each of which goes on from a state and leaves one. */
export function shiftMixSelfTest({ hasNorm, toward, mixes, extras }: ShiftMixShape): SelfTest {
  const memory = new TestMemory({ rows: tokens, seed: 9 });
  const x = memory.view(width, 1, 2);
  const [weight, bias] = [memory.parameter(width), memory.parameter(width)];
  const state = Float32Array.from({ length: 2 * width }, testNumbers(13));
  const normed = Array.from({ length: tokens }, (_, t) => {
    const row = Array.from({ length: width }, (__, c) => x.at(t, c));
    if (!hasNorm) return row;
    const mean = row.reduce((a, b) => a + b) / width;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
    return row.map(
      (value, c) => ((value - mean) / Math.sqrt(variance + eps)) * weight.at(0, c) + bias.at(0, c),
    );
  });
  const before = (t: number, c: number): number => {
    if (t === 0) return state[width + c]!;
    return t === lengths[0] ? state[c]! : normed[t - 1]![c]!;
  };
  const results = {
    normed: (t: number, c: number) => normed[t]![c]!,
    shifted: before,
    difference: (t: number, c: number) => before(t, c) - normed[t]![c]!,
  };
  const extraRows = extras.map((name) => [name, memory.out(width, results[name])] as const);
  const mixed = Array.from({ length: mixes }, (_, index) => {
    const by = memory.parameter(width);
    const out = memory.out(width, (t, c) => {
      const [now, old] = [normed[t]![c]!, before(t, c)];
      const amount = by.at(0, c);
      return toward === 'previous' ? now + (old - now) * amount : old + (now - old) * amount;
    });
    return [
      [`by_${index}`, by],
      [`mix_${index}`, out],
    ] as const;
  });
  const last = [normed[tokens - 1]!, normed[lengths[0] - 1]!];
  return {
    nodes: [
      {
        width,
        x,
        eps,
        weight,
        bias,
        ...Object.fromEntries(extraRows),
        ...Object.fromEntries(mixed.flat()),
      },
    ],
    header: testHeader(lengths),
    ...memory.buffers,
    own: state,
    groups: [1, tokens + 1, 1],
    expectedState: last.flat(),
    tolerance: 2e-5,
  };
}
