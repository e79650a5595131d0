import { type SelfTest, testHeader, TestMemory, type TestRows } from './self-test.js';
import { stepWords } from '@rwkv-ts/program';
import { topKChunk, topKFan, topKListWidth } from './top-k.js';

const rows = 2;

interface List {
  readonly numbers: readonly number[];
  readonly columns: readonly number[];
  readonly sum: number;
}

/** The largest `count` of columns [begin, end). */
function listOf(
  x: (column: number) => number,
  { begin, end, count }: { begin: number; end: number; count: number },
): List {
  const all = Array.from({ length: end - begin }, (_, n) => begin + n);
  const columns = [...all].sort((a, b) => x(b) - x(a) || a - b).slice(0, count);
  const numbers = columns.map(x);
  const sum = all.reduce((total, column) => total + Math.exp(x(column) - numbers[0]!), 0);
  return { numbers, columns, sum };
}

/** The numbers of a list as they lie in the arena; what fills it up is not told. */
const flat = ({ numbers, columns, sum }: List, length: number): (number | undefined)[] => [
  ...Array.from({ length }, (_, n) => numbers[n]),
  ...Array.from({ length }, (_, n) => columns[n]),
  numbers[0],
  sum,
];

/** Two chunks, the second of which is not full. */
export function topKSelfTest(length: number): SelfTest {
  const width = topKChunk + Math.max(300, length + 1);
  const memory = new TestMemory({ rows, seed: 41 });
  const x = memory.view(width, -3, 3);
  const list = topKListWidth(length);
  const lists = Array.from({ length: rows }, (_, row) =>
    [0, topKChunk].map((begin) => {
      const end = Math.min(begin + topKChunk, width);
      return flat(
        listOf((column) => x.at(row, column), { begin, end, count: length }),
        length,
      );
    }),
  );
  const out = memory.out(2 * list, (row, column) => {
    const number = lists[row]![Math.floor(column / list)]![column % list];
    return number ?? memory.untouched;
  });
  return {
    nodes: [{ rows: stepWords.tokens, width, x, out }],
    header: testHeader([1, 1]),
    ...memory.buffers,
    groups: [2, rows + 1, 1],
    tolerance: 1e-6,
  };
}

/** Eight lists, of which the last two hold the largest numbers. */
export function topKMergeSelfTest(length: number): SelfTest {
  const memory = new TestMemory({ rows, seed: 43 });
  const each = length + 1;
  const numbers: TestRows = memory.view(topKFan * each, -3, 3);
  const number = (row: number) => (column: number) =>
    numbers.at(row, column) + (column >= (topKFan - 2) * each ? 1 : 0);
  const list = topKListWidth(length);
  const lists = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: topKFan }, (_, n) =>
      flat(listOf(number(row), { begin: n * each, end: (n + 1) * each, count: length }), length),
    ),
  );
  const x = memory.rows(
    topKFan * list,
    (row, column) => lists[row]![Math.floor(column / list)]![column % list] ?? 0,
  );
  const best = Array.from({ length: rows }, (_, row) =>
    listOf(number(row), { begin: 0, end: topKFan * each, count: length }),
  );
  const out = memory.out(2 * length + 1, (row, column) => {
    const { numbers: found, columns, sum } = best[row]!;
    if (column < length) return found[column]!;
    return column < 2 * length ? columns[column - length]! : sum;
  });
  return {
    nodes: [{ rows: stepWords.tokens, lists: topKFan, count: length, x, out }],
    header: testHeader([1, 1]),
    ...memory.buffers,
    groups: [1, rows + 1, 1],
    tolerance: 1e-6,
  };
}
