/**
 * A deterministic automaton as the weights of an RWKV-7 model of at most five layers, which accepts and rejects as the
 * automaton does, at any length, on any backend.
 *
 *     layers 0 to 2 at most   counters: where in a period of two blocks the letter stands
 *     the next layer          the letters of this block and of the one before; its channel-mix looks up the move to make,
 *                             and the register to which this block leads
 *     the last layer          the registers, one move a token; its channel-mix looks up which of them has the answer
 *
 * `block-plan.ts` says what is looked up and why it is right. It is right at any length because nothing is ever rounded:
 *
 *  - The residual stream is ±A in every channel, always (`channels.ts`), so norms give exactly ±1.
 *  - Matrices then sum small multiples of ½ (or those of a power of two), which f32 holds whatever the order.
 *  - Hidden units of the channel-mix are exactly 1 or 0; they add 2 A, -2 A or nothing.
 *  - κ̂ has one entry 1, or four ±½ (`attention.ts`), the decay is 1, a rate is 1, ½, or lost when added to ±1. So a state
 *    holds nothing but 0 and ±1, from the first token on.
 *
 * All that is asked of a backend is that sqrt and division are right where the result is a power of two, and that
 * sigmoid(60) is 1. Where they are not, an error of a few units in the last place joins at every token.
 *
 * Tokens: 0 begins a string, letter i is token i + 1. The logit of token 0 is +1 where the string may end (it is
 * accepted), -1 where not; all others are 0. So the likeliest token is 0 where and only where the string is accepted.
 */
import type { HostWeight } from '@rwkv-ts/backend';
import type { RwkvConfig7 } from '@rwkv-ts/model';
import { ExpressivityError } from '../errors.js';
import type { Dfa } from '../regular/dfa.js';
import { setLetterMemory, setRegisterBank } from './attention.js';
import { type BlockPlan, planBlocks, type PlanLimits } from './block-plan.js';
import { amplitude, type ChannelGroup, ChannelLayout, type Flag, flagOf } from './channels.js';
import type { Conjunction } from './decision-tree.js';
import {
  ModelWeights,
  type Requirement,
  setFrame,
  setUnits,
  type Unit,
  usefulUnits,
} from './layer-weights.js';
import { type Counter, counterMove } from './positions.js';

export interface CompiledDfa {
  readonly config: RwkvConfig7;
  /** All of `canonicalWeights(config)`, f32, in their order. */
  readonly weights: readonly HostWeight[];
  readonly plan: BlockPlan;
}

export interface CompileLimits extends PlanLimits {
  /** Hidden units of the widest channel-mix. Default 32768. */
  readonly mostUnits?: number;
}

/** @throws ExpressivityError `AUTOMATON_TOO_LARGE`, `CONSTRUCTION_TOO_LARGE` */
export function compileDfa(
  dfa: Dfa,
  { mostUnits = 1 << 15, ...limits }: CompileLimits = {},
): CompiledDfa {
  const plan = planBlocks(dfa, limits);
  const layout = new ChannelLayout();
  const groups = createGroups(plan, layout);
  const units = [
    ...groups.positions.map((_, at) => positionUnits(plan, groups, at)),
    memoryUnits(plan, groups),
    answerUnits(plan, groups),
  ].map(usefulUnits);
  const channelMixSize = Math.max(1, ...units.map(({ length }) => length));
  if (channelMixSize > mostUnits) {
    throw new ExpressivityError({
      code: 'CONSTRUCTION_TOO_LARGE',
      message: `The tables for this automaton need ${channelMixSize} hidden units; the limit is ${mostUnits}.`,
      expected: mostUnits,
      got: channelMixSize,
    });
  }
  const config = configOf({
    plan,
    layout,
    letters: dfa.letters,
    layers: units.length,
    channelMixSize,
  });
  const weights = new ModelWeights(config);
  setFrame(weights);
  setEmbedding(weights, { plan, groups, signs: layout.finish(config.channels) });
  setAttention(weights, { plan, groups, one: layout.one });
  for (const [layer, own] of units.entries()) {
    setUnits(weights, { block: `blocks.${layer}`, units: own, one: layout.one });
  }
  weights.matrix('head.weight').add(0, groups.answer.channels[1]!, groups.answer.sign);
  return { config, weights: weights.hostWeights(), plan };
}

interface Groups {
  /** By class of letters; the last member is the begin token. */
  readonly letter: ChannelGroup;
  /** By counter. */
  readonly markers: readonly ChannelGroup[];
  /** By counter: the position in its period. */
  readonly positions: readonly ChannelGroup[];
  readonly before: readonly ChannelGroup[];
  readonly now: readonly ChannelGroup[];
  /** Member 0 is to rest. */
  readonly move: ChannelGroup;
  /** The register that this block leads to. */
  readonly traced: ChannelGroup;
  readonly registers: readonly ChannelGroup[];
  /** Member 1 is that the string is accepted. */
  readonly answer: ChannelGroup;
}

function createGroups(plan: BlockPlan, layout: ChannelLayout): Groups {
  const { counters, blockLength, classes, registers, moves } = plan;
  const letters = () => layout.group(classes + 1, classes);
  const slots = () => Array.from({ length: blockLength }, letters);
  const letter = letters();
  const markers = counters.map((counter) => layout.group(counter.registers, 0));
  const positions = counters.map(({ period, marker }, at) => {
    if (at > 0) return layout.group(period, 0);
    // The first counter's marker is the position, in the order in which it visits the registers.
    const { channels, sign } = markers[0]!;
    const inOrder = marker.map((register) => channels[register]!);
    return { channels: inOrder, initial: inOrder.indexOf(channels[0]!), sign };
  });
  return {
    letter,
    markers,
    positions,
    before: slots(),
    now: slots(),
    move: layout.group(moves.length + 1, 0),
    traced: layout.group(registers, 0),
    registers: Array.from({ length: registers }, () => layout.group(2, 0)),
    answer: layout.group(2, 0),
  };
}

function positionUnits(
  { counters }: BlockPlan,
  { positions, markers }: Groups,
  at: number,
): Unit[] {
  if (at === 0) return [];
  const { periodBefore, marker } = counters[at]!;
  return marker.map((register, position) => ({
    require: [
      { group: positions[at - 1]!, members: [position % periodBefore] },
      { group: markers[at]!, members: [register] },
    ],
    choose: [{ group: positions[at]!, member: position }],
  }));
}

/** Variable 0 of a table is the position in a block, then come the slots' letters, then `traced`. */
function requirements(
  { conditions }: Conjunction,
  {
    plan: { blockLength },
    groups,
    slots,
  }: { plan: BlockPlan; groups: Groups; slots: readonly ChannelGroup[] },
): Requirement[] {
  const position = groups.positions.at(-1)!;
  return conditions.map(({ variable, values }) => {
    if (variable === 0) {
      const members = [...position.channels.keys()].filter((at) =>
        values.includes(at % blockLength),
      );
      return { group: position, members };
    }
    return { group: slots[variable - 1] ?? groups.traced, members: values };
  });
}

function memoryUnits(plan: BlockPlan, groups: Groups): Unit[] {
  const { before, now, move, traced } = groups;
  return [
    ...plan.moveTable.map((row) => ({
      require: requirements(row, { plan, groups, slots: before }),
      choose: [{ group: move, member: row.label }],
    })),
    ...plan.traceTable.map((row) => ({
      require: requirements(row, { plan, groups, slots: now }),
      choose: [{ group: traced, member: row.label }],
    })),
  ];
}

function answerUnits(plan: BlockPlan, groups: Groups): Unit[] {
  return plan.answerTable.map((row) => ({
    require: [
      ...requirements(row, { plan, groups, slots: groups.before }),
      { group: groups.registers[row.label]!, members: [1] },
    ],
    choose: [{ group: groups.answer, member: 1 }],
  }));
}

interface Sizes {
  readonly plan: BlockPlan;
  readonly layout: ChannelLayout;
  readonly letters: number;
  readonly layers: number;
  readonly channelMixSize: number;
}

/** As small as all that has to be in them allows, with C and N such that means are exact. */
function configOf({ plan, layout, letters, layers, channelMixSize }: Sizes): RwkvConfig7 {
  const banks = [plan.registers, ...plan.counters.map(({ registers }) => registers)];
  // Two columns a register; the letters' code needs rows for constants that make its sum 0.
  const leastColumns = Math.max(8, 2 * Math.max(...banks), 2 * plan.classes);
  let headSize = 8 * Math.ceil(leastColumns / 8);
  while (!dividesExactly(headSize)) headSize += 8;
  const leastHeads = Math.max(...banks, 2 * plan.blockLength);
  let heads = Math.max(leastHeads, Math.ceil(layout.least / headSize));
  while (!dividesExactly(heads * headSize)) heads++;
  const channels = heads * headSize;
  return {
    version: '7',
    layers,
    channels,
    channelMixSize,
    vocabularySize: letters + 1,
    normEpsilon: 1e-5,
    embeddingNorm: 'separate',
    heads,
    headSize,
    headNormEpsilon: 64e-5,
    ranks: { decay: 1, rate: Math.max(...banks), valueResidual: 1, gate: 1 },
  };
}

/** Whether C / C is 1 for those too who multiply by 1 / C, in f32 and in f64. */
const dividesExactly = (channels: number): boolean =>
  channels * (1 / channels) === 1 && Math.fround(channels * Math.fround(1 / channels)) === 1;

function setEmbedding(
  weights: ModelWeights,
  { plan, groups, signs }: { plan: BlockPlan; groups: Groups; signs: Float32Array },
): void {
  const embedding = weights.matrix('emb.weight');
  const tokens = [plan.classes, ...plan.classOf];
  for (const [token, member] of tokens.entries()) {
    for (const [channel, sign] of signs.entries()) embedding.add(token, channel, sign * amplitude);
    const { channels, initial, sign } = groups.letter;
    if (member === initial) continue;
    embedding.add(token, channels[member]!, 2 * sign * amplitude);
    embedding.add(token, channels[initial]!, -2 * sign * amplitude);
  }
}

function setAttention(
  weights: ModelWeights,
  { plan, groups, one }: { plan: BlockPlan; groups: Groups; one: number },
): void {
  const { counters, initial, moves } = plan;
  const { letter, positions, markers, before, now } = groups;
  const begin = flagOf(letter, letter.initial);
  for (const [layer, counter] of counters.entries()) {
    setRegisterBank(weights, {
      block: `blocks.${layer}`,
      one,
      begin,
      initial: Array.from({ length: counter.registers }, (_, register) => register === 0),
      asked: counterMoves(
        counter,
        layer === 0 ? [{ channel: one, sign: 1 }] : flagsOf(positions[layer - 1]!),
      ),
      marker: markers[layer]!,
    });
  }
  setLetterMemory(weights, {
    block: `blocks.${counters.length}`,
    one,
    begin,
    letter,
    position: positions.at(-1)!,
    before,
    now,
  });
  setRegisterBank(weights, {
    block: `blocks.${counters.length + 1}`,
    one,
    begin,
    initial,
    asked: moves.map((move, at) => ({ where: flagOf(groups.move, at + 1), move })),
    bits: groups.registers,
  });
}

const flagsOf = (group: ChannelGroup): Flag[] =>
  group.channels.map((_, member) => flagOf(group, member));

/** The begin token stands at the last position of every period. */
function counterMoves({ registers }: Counter, positions: readonly Flag[]) {
  return positions.flatMap((where, position) => {
    const move = counterMove(position, registers);
    const isAskedAtBegin = position === positions.length - 1;
    return move ? [{ where, move, isAskedAtBegin }] : [];
  });
}
