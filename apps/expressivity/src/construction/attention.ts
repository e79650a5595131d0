/**
 * Time-mixes of the construction. Each head's state S starts as zeros and gets its numbers by the one write v kᵀ at the
 * first token, the one that begins a string. Rows of S hold ± the same, so that the per-head norm of y = S r has mean 0
 * and divides by the scale of r alone.
 */
import { amplitude, type ChannelGroup, type Flag, flagOf } from './channels.js';
import { addWhere, type ModelWeights, type NormedInput, saturating } from './layer-weights.js';
import type { RegisterMove } from './register-moves.js';

/** 2^44 + 64e-5 is 2^44 in f32 and in f64. */
const readScale = 2 ** 22;

interface LayerInput extends NormedInput {
  readonly block: string;
  /** Whether the token is the one that begins a string. */
  readonly begin: Flag;
}

/** A move, and what asks for it. */
export interface AskedMove {
  readonly where: Flag;
  readonly move: RegisterMove;
  /** Whether it is asked for at the begin token too, where registers get their first values instead. */
  readonly isAskedAtBegin?: boolean;
}

export interface RegisterBank extends LayerInput {
  readonly initial: readonly boolean[];
  /** At most one at a time. */
  readonly asked: readonly AskedMove[];
  /** By register: the group's member 0 where it is false, 1 where it is true. */
  readonly bits?: readonly ChannelGroup[];
  /** Of a marker that exactly one register has: the group's member of that number. */
  readonly marker?: ChannelGroup;
}

/**
 * A bank of registers that hold true or false, changed by at most one move a token. A head for every register: all do
 * the same, and each reads its own register.
 *
 * A register is two columns of S that hold the same ±1. With κ̂ = ½ (1, 1, -1, -1) on the columns of two registers x and
 * y, S ← S - 2 (S κ̂)(κ̂ ⊙ rate)ᵀ takes ½ (2 x - 2 y) = x - y from x and adds it to y: a swap where the rate is 1, and a
 * copy of y into x where it is 0 on y. All numbers are exact, which is what the second column is for: on two columns κ̂
 * would be 1/√2, and every token would add its rounding.
 */
export function setRegisterBank(weights: ModelWeights, bank: RegisterBank): void {
  const { block, one, begin, initial, asked, bits, marker } = bank;
  const { headSize } = weights.config;
  const att = `${block}.att`;
  const key = weights.matrix(`${att}.key.weight`);
  const rateDown = weights.matrix(`${att}.a1.weight`);
  const rateUp = weights.matrix(`${att}.a2.weight`);
  weights.vector(`${att}.a0`).fill(saturating);
  for (const { where, move } of asked) {
    if (move.kind === 'copy') addWhere(rateDown, { row: move.from, where, value: 1, one });
  }
  for (const register of initial.keys()) {
    const first = register * headSize;
    const columnsOf = (other: number) => [first + 2 * other, first + 2 * other + 1];
    for (const [other, isTrue] of initial.entries()) {
      for (const row of columnsOf(other)) {
        addWhere(key, { row, where: begin, value: isTrue ? 1 : -1, one });
        rateUp.add(row, other, -2 * saturating);
      }
    }
    for (const { where, move, isAskedAtBegin = false } of asked) {
      const addMove = (at: Flag, sign: number) => {
        for (const row of columnsOf(move.to)) addWhere(key, { row, where: at, value: sign, one });
        for (const row of columnsOf(move.from))
          addWhere(key, { row, where: at, value: -sign, one });
      };
      addMove(where, 1);
      if (isAskedAtBegin) addMove(begin, -1);
    }
    setBeginValue(weights, { block, one, begin, head: register });
    weights.matrix(`${att}.receptance.weight`).add(first + 2 * register, one, readScale);
    if (bits) writeBit(weights, { block, row: first, group: bits[register]! });
    if (marker) writeMember(weights, { block, row: first, group: marker, member: register });
  }
}

/** v is ±1 at the begin token, by turns, and 0 at all others. */
function setBeginValue(
  weights: ModelWeights,
  { block, one, begin, head }: LayerInput & { readonly head: number },
): void {
  const { headSize } = weights.config;
  const value = weights.matrix(`${block}.att.value.weight`);
  for (let row = 0; row < headSize; row++) {
    addWhere(value, {
      row: head * headSize + row,
      where: begin,
      value: row % 2 === 0 ? 1 : -1,
      one,
    });
  }
}

interface Output {
  readonly block: string;
  /** Of the time-mix's output before its last matrix: ±1 where the norm's bias is 0. */
  readonly row: number;
  readonly group: ChannelGroup;
}

/** Adds 0 or ±2 A, so that the member is chosen where the row is +1. */
function writeMember(
  weights: ModelWeights,
  { block, row, group, member }: Output & { readonly member: number },
): void {
  weights.vector(`${block}.att.ln_x.bias`)[row] = member === group.initial ? -1 : 1;
  weights
    .matrix(`${block}.att.output.weight`)
    .add(group.channels[member]!, row, group.sign * amplitude);
}

function writeBit(weights: ModelWeights, { block, row, group }: Output): void {
  writeMember(weights, { block, row, group, member: 1 });
  weights
    .matrix(`${block}.att.output.weight`)
    .add(group.channels[0]!, row, -group.sign * amplitude);
}

export interface LetterMemory extends LayerInput {
  /** The letter read now; the last member is the begin token. */
  readonly letter: ChannelGroup;
  /** A member for each position of a period, which twice the block length divides. */
  readonly position: ChannelGroup;
  /** By slot: the letters of the block before, complete. */
  readonly before: readonly ChannelGroup[];
  /** By slot: the letters of this block; slots not reached yet hold older letters. */
  readonly now: readonly ChannelGroup[];
}

/**
 * Two heads for each slot of a block remember the letters read there: column 0 of S in even blocks, column 1 in odd ones.
 * The rate is ½, so that the doubled removal S - 2 (S κ̂)(κ̂/2)ᵀ empties a column before the letter is written into it.
 */
export function setLetterMemory(weights: ModelWeights, memory: LetterMemory): void {
  const { block, one, begin, letter, position, before, now } = memory;
  const { headSize } = weights.config;
  const blockLength = now.length;
  const att = `${block}.att`;
  const key = weights.matrix(`${att}.key.weight`);
  const value = weights.matrix(`${att}.value.weight`);
  const receptance = weights.matrix(`${att}.receptance.weight`);
  // The begin token stands at the period's last position, in an odd block.
  const code = letterCode(letter.channels.length, headSize);
  for (const [head, group] of [...before, ...now].entries()) {
    const slot = head % blockLength;
    const isBefore = head < blockLength;
    const first = head * headSize;
    for (const at of position.channels.keys()) {
      const where = flagOf(position, at);
      const column = Math.floor(at / blockLength) % 2;
      if (at % blockLength === slot) addWhere(key, { row: first + column, where, value: 1, one });
      const read = isBefore ? 1 - column : column;
      addWhere(receptance, { row: first + read, where, value: readScale, one });
    }
    for (const column of slot === blockLength - 1 ? [0] : [0, 1]) {
      addWhere(key, { row: first + column, where: begin, value: 1, one });
    }
    for (const [row, sign] of code.entries()) {
      if (sign === undefined) value.add(first + row, letter.channels[row]!, letter.sign);
      else value.add(first + row, one, sign);
    }
    for (const member of group.channels.keys()) {
      writeMember(weights, { block, row: first + member, group, member });
    }
  }
}

/** By row: undefined where it follows the letter's channel of that number, then constants that make the sum 0. */
function letterCode(letters: number, headSize: number): (1 | -1 | undefined)[] {
  const fillers = headSize - letters;
  const positive = (fillers - (2 - letters)) / 2;
  return Array.from({ length: headSize }, (_, row) => {
    if (row < letters) return undefined;
    return row < letters + positive ? 1 : -1;
  });
}
