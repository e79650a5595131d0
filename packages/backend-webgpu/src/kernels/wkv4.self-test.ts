import { type SelfTest, testHeader, TestMemory } from './self-test.js';

const lengths = [2, 3] as const;
const tokens = 5;
/** More channels than a group has. */
const width = 71;

/** Two sequences, from states with exponents on both sides of the keys. */
export function wkv4SelfTest(): SelfTest {
  const memory = new TestMemory({ rows: tokens, seed: 23 });
  const [k, v] = [memory.view(width, -4, 4), memory.view(width)];
  const [decay, first] = [memory.parameter(width, -2, 0), memory.parameter(width, -2, 2)];
  const state = Float32Array.from([
    ...[0, 1].flatMap(() => [
      ...memory.draw(width),
      ...memory.draw(width, 0.5, 1.5),
      ...memory.draw(width, -4, 4),
    ]),
  ]);
  const S = Float64Array.from(state);
  const rows = new Float64Array(tokens * width);
  for (let t = 0; t < tokens; t++) {
    const slot = t < lengths[0] ? 1 : 0;
    for (let c = 0; c < width; c++) {
      const at = slot * 3 * width + c;
      const [a, b, p] = [S[at]!, S[at + width]!, S[at + 2 * width]!];
      const [key, value] = [k.at(t, c), v.at(t, c)];
      const bonus = first.at(0, c) + key;
      let q = Math.max(p, bonus);
      let [past, now] = [Math.exp(p - q), Math.exp(bonus - q)];
      rows[t * width + c] = (past * a + now * value) / (past * b + now);
      const decayed = p + decay.at(0, c);
      q = Math.max(decayed, key);
      [past, now] = [Math.exp(decayed - q), Math.exp(key - q)];
      S[at] = past * a + now * value;
      S[at + width] = past * b + now;
      S[at + 2 * width] = q;
    }
  }
  const out = memory.out(width, (t, c) => rows[t * width + c]!);
  return {
    nodes: [{ width, k, v, decay, first, out }],
    header: testHeader(lengths),
    ...memory.buffers,
    own: state,
    groups: [2, 3, 1],
    expectedState: [...S],
    tolerance: 2e-5,
  };
}
