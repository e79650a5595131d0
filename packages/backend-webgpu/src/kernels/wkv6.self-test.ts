import { type SelfTest, testHeader, TestMemory } from './self-test.js';
import type { Wkv6Shape } from './wkv6.js';

const lengths = [2, 3] as const;
const [tokens, heads, eps] = [5, 2, 64e-5];

/** Two heads, two sequences of 2 and 3 tokens, from states that are not zero. */
export function wkv6SelfTest({ size, decay: decayKind, hasNorm, hasGate }: Wkv6Shape): SelfTest {
  const width = heads * size;
  const memory = new TestMemory({ rows: tokens, seed: 25 });
  const [r, k, v, gate] = [0, 1, 2, 3].map(() => memory.view(width)) as [View, View, View, View];
  const decay = decayKind === 'view' ? memory.view(width, 0.5, 1) : memory.parameter(width, 0.5, 1);
  const [first, weight, bias] = [0, 1, 2].map(() => memory.parameter(width)) as [View, View, View];
  const state = memory.draw(2 * width * size);
  const S = Float64Array.from(state);
  const rows = new Float64Array(tokens * width);
  const step = (t: number, begin: number): void => {
    const slot = t < lengths[0] ? 1 : 0;
    const sums = new Float64Array(size);
    for (let i = 0; i < size; i++) {
      const c = begin + i;
      const line = (slot * width + c) * size;
      for (let j = 0; j < size; j++) {
        const now = k.at(t, c) * v.at(t, begin + j);
        sums[j]! += r.at(t, c) * (first.at(0, c) * now + S[line + j]!);
        S[line + j] = now + decay.at(t, c) * S[line + j]!;
      }
    }
    const mean = sums.reduce((a, b) => a + b) / size;
    const variance = sums.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
    for (const [j, sum] of sums.entries()) {
      const c = begin + j;
      const normed = ((sum - mean) / Math.sqrt(variance + eps)) * weight.at(0, c) + bias.at(0, c);
      rows[t * width + c] = (hasNorm ? normed : sum) * (hasGate ? gate.at(t, c) : 1);
    }
  };
  for (let t = 0; t < tokens; t++) {
    for (let head = 0; head < heads; head++) step(t, head * size);
  }
  const out = memory.out(width, (t, c) => rows[t * width + c]!);
  return {
    nodes: [{ width, r, k, v, gate, decay, first, weight, bias, eps, out }],
    header: testHeader(lengths),
    ...memory.buffers,
    own: state,
    groups: [heads, 3, 1],
    expectedState: [...S],
    tolerance: 2e-4,
  };
}

type View = ReturnType<TestMemory['view']>;
