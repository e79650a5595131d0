import { type SelfTest, testHeader, TestMemory } from './self-test.js';
import { stepWords } from '@rwkv-ts/program';

/** Heads that no workgroup divides, one of which is shorter than the floor. */
const [tokens, heads, size] = [3, 2, 71];
const [width, floor] = [heads * size, 1e-3];

export function prepare7SelfTest({ hasResidual }: { readonly hasResidual: boolean }): SelfTest {
  const memory = new TestMemory({ rows: tokens, seed: 15 });
  const [k, rate] = [memory.view(width), memory.view(width, 0, 1)];
  const [v, first, amount] = [memory.view(width), memory.view(width), memory.view(width, 0, 1)];
  const [removal, replacement] = [memory.parameter(width, 0, 1), memory.parameter(width)];
  const lengths = Array.from({ length: tokens * heads }, (_, n) => {
    const [row, begin] = [Math.floor(n / heads), (n % heads) * size];
    const removed = Array.from(
      { length: size },
      (__, c) => k.at(row, begin + c) * removal.at(0, begin + c),
    );
    return Math.max(Math.hypot(...removed), floor);
  });
  const direction = (row: number, c: number) =>
    (k.at(row, c) * removal.at(0, c)) / lengths[row * heads + Math.floor(c / size)]!;
  const outs = {
    key: memory.out(
      width,
      (row, c) => k.at(row, c) * (1 + (rate.at(row, c) - 1) * replacement.at(0, c)),
    ),
    a: memory.out(width, (row, c) => -direction(row, c)),
    b: memory.out(width, (row, c) => direction(row, c) * rate.at(row, c)),
  };
  const value =
    hasResidual &&
    memory.out(
      width,
      (row, c) => v.at(row, c) + (first.at(row, c) - v.at(row, c)) * amount.at(row, c),
    );
  return {
    nodes: [
      {
        rows: stepWords.tokens,
        width,
        size,
        floor,
        ...{ k, rate, removal, replacement, ...outs },
        ...(value ? { v, first, amount, value } : {}),
      },
    ],
    header: testHeader([1, 2]),
    ...memory.buffers,
    groups: [heads, tokens + 1, 1],
    tolerance: 2e-5,
  };
}
