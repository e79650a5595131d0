import { type SelfTest, testHeader, TestMemory } from './self-test.js';
import { stepWords } from '@rwkv-ts/program';

/** Parts that no workgroup divides, in rows that have room beyond their width. */
const [tokens, groups, part] = [3, 2, 301];
const [width, eps] = [groups * part, 1e-2];

/** `l2-norm` where it has no weight. */
export function normSelfTest(kind: 'norm' | 'l2-norm'): SelfTest {
  const memory = new TestMemory({ rows: tokens, seed: 5 });
  const x = memory.view(width, 1, 2);
  const [weight, bias] = [memory.parameter(width), memory.parameter(width)];
  const sum = (row: number, column: number, number: (value: number) => number): number => {
    const begin = Math.floor(column / part) * part;
    let total = 0;
    for (let c = begin; c < begin + part; c++) total += number(x.at(row, c));
    return total;
  };
  const columns = Array.from({ length: tokens * groups }, (_, n) => {
    const [row, column] = [Math.floor(n / groups), (n % groups) * part];
    const mean = sum(row, column, (value) => value) / part;
    const variance = sum(row, column, (value) => (value - mean) ** 2) / part;
    const length = Math.sqrt(sum(row, column, (value) => value * value));
    return { mean, variance, length };
  });
  const out = memory.out(width, (row, column) => {
    const { mean, variance, length } = columns[row * groups + Math.floor(column / part)]!;
    if (kind === 'l2-norm') return x.at(row, column) / Math.max(length, eps);
    const normed = (x.at(row, column) - mean) / Math.sqrt(variance + eps);
    return normed * weight.at(0, column) + bias.at(0, column);
  });
  return {
    nodes: [{ rows: stepWords.tokens, width, part, x, out, eps, weight, bias }],
    header: testHeader([1, 2]),
    ...memory.buffers,
    groups: [groups, tokens + 1, 1],
    tolerance: 2e-5,
  };
}
