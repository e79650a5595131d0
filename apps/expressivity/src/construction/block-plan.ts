/**
 * What the recurrence does with a language: the paper's argument (arXiv:2503.14456, appendix on expressivity) as tables.
 *
 * Registers are the states of the minimal automaton R of the *reversed* strings: after a string x, register q says
 * whether R accepts x, read backwards, from q. A letter c moves R from q to R(q, c), so reading it is s'[q] = s[R(q, c)]
 * in all registers, and the string is accepted when register 0, R's start, says so. (The forward automaton would add
 * registers up where states merge, which a removal of one direction cannot do; here merging states is copying.)
 *
 * A letter can need many moves, and the recurrence makes one per token. So letters are taken in blocks of B, where every
 * function that a block can be needs at most B moves; B = states - 1 always serves. During a block the moves of the
 * block before it are made, one each token. Who asks in between gets the answer from the register where it is to be
 * found: register 0 after the letters of this block, traced back through these letters and the moves not made yet.
 */
import { ExpressivityError } from '../errors.js';
import { type Dfa, reverseDfa } from '../regular/dfa.js';
import { type Conjunction, conjunctionsOf, type TableVariable } from './decision-tree.js';
import { type Counter, countersFor } from './positions.js';
import { movesOf, type RegisterMove, sourceOf } from './register-moves.js';

/** Conditions over: 0 the position in the block, then by slot the letters of a block, then (`answer`) the traced register. */
export interface BlockPlan {
  /** States of R. */
  readonly registers: number;
  /** What registers hold before the first letter. */
  readonly initial: readonly boolean[];
  /** [letters of the alphabet] letters that do the same are one class. */
  readonly classOf: readonly number[];
  readonly classes: number;
  /** B */
  readonly blockLength: number;
  readonly counters: readonly Counter[];
  /** The different moves, as labels of `moveTable` from 1 on; label 0 is to rest. */
  readonly moves: readonly RegisterMove[];
  /** From the position and the block before to the move now. */
  readonly moveTable: readonly Conjunction[];
  /** From the position and this block so far to the register that its letters lead to. */
  readonly traceTable: readonly Conjunction[];
  /** From the position, the block before and the traced register to the register with the answer. */
  readonly answerTable: readonly Conjunction[];
}

export interface PlanLimits {
  /** Rows of a table. Default 2^21. */
  readonly mostRows?: number;
}

/** @throws ExpressivityError `AUTOMATON_TOO_LARGE`, `CONSTRUCTION_TOO_LARGE` */
export function planBlocks(dfa: Dfa, { mostRows = 1 << 21 }: PlanLimits = {}): BlockPlan {
  // No block is longer than 21 letters, so more registers than that seldom serve, and reversing would take long.
  const reversed = reverseDfa(dfa, { mostStates: 1024 });
  const { classOf, functions } = letterClasses(reversed);
  const registers = reversed.states;
  const blockLength = findBlockLength(functions, { registers, mostRows });
  const words = wordsOf(functions, blockLength);
  const shared = { functions, words, registers, blockLength };
  const moves = new MoveNumbers();
  return {
    registers,
    initial: reversed.accepting,
    classOf,
    classes: functions.length,
    blockLength,
    counters: countersFor(2 * blockLength)!,
    moveTable: moveTable(shared, moves),
    moves: moves.list,
    traceTable: traceTable(shared),
    answerTable: answerTable(shared),
  };
}

type RegisterFunction = readonly number[];

function letterClasses({ states, letters, moves }: Dfa) {
  const found = new Map<string, number>();
  const functions: RegisterFunction[] = [];
  const classOf = Array.from({ length: letters }, (_, letter) => {
    const f = Array.from({ length: states }, (_, state) => moves[state * letters + letter]!);
    const key = f.join();
    if (!found.has(key)) found.set(key, functions.push(f) - 1);
    return found.get(key)!;
  });
  return { classOf, functions };
}

/** First `before`, then `after` on the registers: s'[q] = s[before(after(q))]. */
const compose = (before: RegisterFunction, after: RegisterFunction): RegisterFunction =>
  after.map((q) => before[q]!);

function findBlockLength(
  functions: readonly RegisterFunction[],
  { registers, mostRows }: { readonly registers: number; readonly mostRows: number },
): number {
  const tooLarge = (what: string, limit: number, got: number): never => {
    throw new ExpressivityError({
      code: 'CONSTRUCTION_TOO_LARGE',
      message: `An automaton whose reversal has ${registers} states and ${functions.length} kinds of letters needs ${what}; the limit is ${limit}.`,
      expected: limit,
      got,
    });
  };
  const longest = 21;
  let reached = new Map(functions.map((f) => [f.join(), f]));
  for (let length = 1; length <= longest; length++) {
    const rows = functions.length ** length * length * registers;
    if (rows > mostRows) tooLarge(`tables of ${rows} rows or more`, mostRows, rows);
    const needed = Math.max(...[...reached.values()].map((f) => movesOf(f).length));
    if (needed <= length && countersFor(2 * length)) return length;
    const longer = [...reached.values()].flatMap((f) =>
      functions.map((after) => compose(f, after)),
    );
    reached = new Map(longer.map((f) => [f.join(), f]));
  }
  return tooLarge(`blocks of more than ${longest} letters`, longest, registers - 1);
}

interface Shared {
  readonly functions: readonly RegisterFunction[];
  readonly words: readonly Word[];
  readonly registers: number;
  readonly blockLength: number;
}

/** A block of letters, or what stands in memory before the first one: B times the number past all classes. */
interface Word {
  readonly letters: readonly number[];
  readonly f: RegisterFunction;
}

function wordsOf(functions: readonly RegisterFunction[], length: number): Word[] {
  const identity = functions[0]!.map((_, q) => q);
  let words: Word[] = [{ letters: [], f: identity }];
  for (let at = 0; at < length; at++) {
    words = words.flatMap(({ letters, f }) =>
      functions.map((after, letter) => ({ letters: [...letters, letter], f: compose(f, after) })),
    );
  }
  return [...words, { letters: new Array<number>(length).fill(functions.length), f: identity }];
}

class MoveNumbers {
  readonly list: RegisterMove[] = [];
  readonly #numbers = new Map<string, number>();

  labelOf(move: RegisterMove | undefined): number {
    if (!move) return 0;
    const key = `${move.kind} ${move.to} ${move.from}`;
    const known = this.#numbers.get(key) ?? this.list.push(move);
    this.#numbers.set(key, known);
    return known;
  }
}

/** Rows are collected by number of variables: the position, the letters, and what comes after. */
class Table {
  readonly #columns: number[][];
  readonly #labels: number[] = [];

  constructor(variables: number) {
    this.#columns = Array.from({ length: variables }, () => []);
  }

  add(values: readonly number[], label: number): void {
    for (const [at, value] of values.entries()) this.#columns[at]!.push(value);
    this.#labels.push(label);
  }

  conjunctions(): Conjunction[] {
    const variables = this.#columns.map((column): TableVariable => ({
      values: Uint16Array.from(column),
    }));
    return conjunctionsOf(variables, Uint16Array.from(this.#labels));
  }
}

function moveTable({ words, blockLength }: Shared, numbers: MoveNumbers): Conjunction[] {
  const table = new Table(1 + blockLength);
  for (const { letters, f } of words) {
    const moves = movesOf(f);
    for (let position = 0; position < blockLength; position++) {
      table.add([position, ...letters], numbers.labelOf(moves[position]));
    }
  }
  return table.conjunctions();
}

/** Where register 0 leads through the letters of this block up to each position, by position. */
function traceTable({ functions, blockLength }: Shared): Conjunction[] {
  const found: Conjunction[] = [];
  for (let position = 0; position < blockLength; position++) {
    // Later slots still hold letters of an older block, so each position has a table of its own.
    const table = new Table(position + 1);
    const isLast = position === blockLength - 1;
    for (const { letters, f } of wordsOf(functions, position + 1)) {
      // What stands in memory before the first letter is seen there alone.
      if (letters[0] !== functions.length || isLast) table.add(letters, f[0]!);
    }
    for (const { conditions, label } of table.conjunctions()) {
      const shifted = conditions.map(({ variable, values }) => ({
        variable: variable + 1,
        values,
      }));
      found.push({ conditions: [{ variable: 0, values: [position] }, ...shifted], label });
    }
  }
  return found;
}

function answerTable({ functions, words, blockLength }: Shared): Conjunction[] {
  const table = new Table(2 + blockLength);
  let reachable = new Set([0]);
  const traced = Array.from({ length: blockLength }, (_, position) => {
    reachable = new Set([...reachable].flatMap((q) => functions.map((f) => f[q]!)));
    // Register 0 before the first letter, which counts as a block's end.
    return position === blockLength - 1 ? new Set([...reachable, 0]) : reachable;
  });
  for (const { letters, f } of words) {
    const moves = movesOf(f);
    for (const [position, registers] of traced.entries()) {
      const left = moves.slice(position + 1);
      for (const q of registers) table.add([position, ...letters, q], sourceOf(q, left));
    }
  }
  return table.conjunctions();
}
