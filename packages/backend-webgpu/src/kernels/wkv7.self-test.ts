import { type SelfTest, testHeader, testNumbers } from './self-test.js';
import type { Wkv7Shape } from './wkv7.js';

const heads = 2;
const lengths = [2, 3] as const;

/** Two heads, two sequences of 2 and 3 tokens, from states that are not zero. */
export function wkv7SelfTest({ size, hasTail, preparation }: Wkv7Shape): SelfTest {
  const width = heads * size;
  const stride = Math.ceil(width / 8) * 8;
  const tokens = lengths[0] + lengths[1];
  const random = testNumbers(11);
  const prepares = preparation !== 'none';
  const names = ['r', 'w', 'k', 'v', 'a', 'b', 'rate', 'first', 'amount', 'gate'] as const;
  const at = (name: (typeof names)[number]) => names.indexOf(name) * tokens * stride;
  const out = names.length * tokens * stride;
  const arena = new Float32Array(out + tokens * stride);
  for (let n = 0; n < out; n++) arena[n] = random();
  // Decays lie between 0 and 1, and directions are short, so that nothing grows.
  for (let n = at('w'); n < at('k'); n++) arena[n] = Math.fround(0.75 + arena[n]! / 4);
  for (let n = at('a'); n < at('rate'); n++) arena[n] = Math.fround(arena[n]! / Math.sqrt(size));
  for (let n = at('rate'); n < at('first'); n++) arena[n] = Math.fround(0.5 + arena[n]! / 2);
  const parameterNames = ['removal', 'replacement', 'by', 'weight', 'bias'] as const;
  const parameters = Float32Array.from({ length: parameterNames.length * stride }, random);
  const parameterAt = (name: (typeof parameterNames)[number]) =>
    parameterNames.indexOf(name) * stride;
  const state = Float32Array.from({ length: 2 * width * size }, random);
  const S = Float64Array.from(state);
  const number = (name: (typeof names)[number], t: number, c: number) =>
    arena[at(name) + t * stride + c]!;
  const parameter = (name: (typeof parameterNames)[number], c: number) =>
    parameters[parameterAt(name) + c]!;
  const [eps, floor] = [64e-5, 1e-12];
  const rows = new Array<number>(tokens * stride).fill(0);

  const step = (t: number, slot: number, head: number): void => {
    const c = Array.from({ length: size }, (_, j) => head * size + j);
    const raw = c.map((j) => number('k', t, j));
    const removed = c.map((j, n) => raw[n]! * parameter('removal', j));
    const length = Math.max(Math.hypot(...removed), floor);
    const a = c.map((j, n) => (prepares ? -removed[n]! / length : number('a', t, j)));
    const b = c.map((j, n) => (prepares ? -a[n]! * number('rate', t, j) : number('b', t, j)));
    const k = c.map((j, n) =>
      prepares ? raw[n]! * (1 + (number('rate', t, j) - 1) * parameter('replacement', j)) : raw[n]!,
    );
    const v = c.map((j) => {
      const own = number('v', t, j);
      if (preparation !== 'residual value') return own;
      return own + (number('first', t, j) - own) * number('amount', t, j);
    });
    const sums = c.map((j, i) => {
      const line = (slot * width + j) * size;
      let [z, sum] = [0, 0];
      for (let n = 0; n < size; n++) z += S[line + n]! * a[n]!;
      for (let n = 0; n < size; n++) {
        S[line + n] = S[line + n]! * number('w', t, c[n]!) + z * b[n]! + v[i]! * k[n]!;
        sum += S[line + n]! * number('r', t, c[n]!);
      }
      return sum;
    });
    const mean = sums.reduce((x, y) => x + y) / size;
    const variance = sums.reduce((x, y) => x + (y - mean) ** 2, 0) / size;
    const bonus = c.reduce((x, j, n) => x + number('r', t, j) * k[n]! * parameter('by', j), 0);
    for (const [n, j] of c.entries()) {
      const normed =
        ((sums[n]! - mean) / Math.sqrt(variance + eps)) * parameter('weight', j) +
        parameter('bias', j);
      rows[t * stride + j] = hasTail ? (normed + bonus * v[n]!) * number('gate', t, j) : sums[n]!;
    }
  };
  for (let head = 0; head < heads; head++) {
    for (let t = 0; t < tokens; t++) step(t, t < lengths[0] ? 1 : 0, head);
  }
  const views = names.map((name) => [name, { offset: at(name), stride }] as const);
  const places = parameterNames.map(
    (name) => [name, { offset: parameterAt(name), stride: 0 }] as const,
  );
  return {
    nodes: [
      {
        width,
        out: { offset: out, stride },
        eps,
        floor,
        ...Object.fromEntries(views),
        ...Object.fromEntries(places),
      },
    ],
    header: testHeader(lengths),
    arena,
    parameters,
    own: state,
    groups: [heads, 2, 1],
    expected: [{ at: out, numbers: rows }],
    expectedState: [...S],
    tolerance: 2e-4,
  };
}
