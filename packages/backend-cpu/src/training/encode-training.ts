/** A program that learns as the words that native/training/training-decoder.cc reads. */
import type { Program, TrainingOptions, Value } from '@rwkv-ts/backend';
import { planBackward, readsOf } from '@rwkv-ts/program';
import { addBackward } from './backward.js';
import { addForward, type TrainingContext } from './forward.js';
import { type Argument, type Draft, TrainingGraph } from './graph.js';
import { type Level, levelsOf } from './levels.js';
import {
  type Base,
  bases,
  type Extent,
  extents,
  instructionNames,
  programParts,
  unitKinds,
} from './native-training.js';
import { type Placement, placeTraining } from './place.js';

/** Where the addon finds what a program names. */
export interface TrainingNames {
  readonly weight: (name: string) => number;
  readonly state: (name: string) => number;
}

export interface EncodedTraining {
  readonly words: Float64Array;
  readonly arenaFloats: number;
  readonly localFloats: number;
}

/** Numbers that a block of rows has in one operand, about: a chain's operands of a block fill part of the second cache. */
const blockNumbers = 8192;

/** The program is valid and lowered to `trainingKinds`; the options fit it. */
export function encodeTraining(
  program: Program,
  options: TrainingOptions,
  names: TrainingNames,
): EncodedTraining {
  const { limits } = options;
  const graph = graphOf(program, options);
  const blockRows = blockRowsOf(program);
  const levels = levelsOf(graph.drafts);
  const output = graph.read(program.output);
  const shared = output && 'buffer' in output ? [output.buffer] : [];
  const placement = placeTraining(levels, { limits, blockRows, shared });
  const trainables = new Map(
    options.trainable.map(({ kind, name }, index) => [kind + name, index]),
  );
  const writer = new Writer({ placement, blockRows, names, trainables });
  const words = [options.trainable.length];
  for (const { kind, name, learningRateFactor = 1, weightDecayFactor = 0 } of options.trainable) {
    const index = kind === 'weight' ? names.weight(name) : names.state(name);
    words.push(Number(kind !== 'weight'), index, learningRateFactor, weightDecayFactor);
  }
  for (const [level, each] of levels.entries()) writer.level(each, level, words);
  const { arenaFloats, localFloats } = placement;
  return { words: Float64Array.from(words), arenaFloats, localFloats };
}

/** All instructions, in an order in which they could run one after the other. */
export function draftsOf(program: Program, options: TrainingOptions): readonly Draft[] {
  return graphOf(program, options).drafts;
}

function graphOf(program: Program, options: TrainingOptions): TrainingGraph {
  const graph = new TrainingGraph(program);
  const context = { graph, limits: options.limits, output: program.output };
  for (const op of program.ops) addForward(op, context);
  addLossAndBackward(program, options, context);
  return graph;
}

function addLossAndBackward(
  program: Program,
  { trainable }: TrainingOptions,
  context: TrainingContext,
): void {
  const { graph } = context;
  const { output } = program;
  const weights = trainable.filter(({ kind }) => kind === 'weight').map(({ name }) => name);
  const plan = planBackward(program, { trainableWeights: new Set(weights) });
  graph.part = 'loss';
  // Logits that only the loss reads make room for their gradient.
  if (isReadByLossAlone(program, output)) graph.replace(output);
  const logits = graph.read(output);
  const isWanted = plan.gradients.has(output.id);
  const gradient = graph.given(output, isWanted) ?? logits;
  graph.add('cross-entropy', {
    units: 'rows',
    rows: 'R',
    reads: [logits],
    writes: [gradient],
    arguments: [logits, gradient],
    numbers: [output.width],
    nanoseconds: output.width,
  });
  graph.part = 'backward';
  for (const step of plan.steps) addBackward(step, context);
}

function isReadByLossAlone({ ops }: Program, output: Value): boolean {
  const made = ops.find((op) => 'out' in op && op.out.id === output.id);
  const isRead = ops.some(
    (op) => op.kind !== 'top-k' && readsOf(op).some(({ id }) => id === output.id),
  );
  return made?.kind === 'matmul' && !isRead;
}

/** A power of 2, by the usual width of a row. */
function blockRowsOf({ ops }: Program): number {
  const widths = ops.flatMap((op) => ('out' in op && op.out.rows === 'T' ? [op.out.width] : []));
  const usual = widths.reduce((sum, width) => sum + width, 0) / Math.max(1, widths.length);
  const rows = 2 ** Math.round(Math.log2(blockNumbers / Math.max(1, usual)));
  return Math.min(32, Math.max(4, rows));
}

interface WriterOptions {
  readonly placement: Placement;
  readonly blockRows: number;
  readonly names: TrainingNames;
  /** Index by kind and name. */
  readonly trainables: ReadonlyMap<string, number>;
}

class Writer {
  readonly #options: WriterOptions;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Chains first, then everything else as it comes. */
  level({ part, drafts }: Level, level: number, words: number[]): void {
    const head = (draft: Draft, blockRows: number, nanoseconds: number): number[] => [
      level,
      programParts.indexOf(part),
      unitKinds.indexOf(draft.units),
      Number(draft.wanted),
      blockRows,
      nanoseconds,
    ];
    const inChain = drafts.filter(({ units }) => units === 'row-blocks');
    for (const wanted of [false, true]) {
      const chain = inChain.filter((draft) => draft.wanted === wanted);
      const [first] = chain;
      if (!first) continue;
      const nanoseconds = chain.reduce((sum, draft) => sum + draft.nanoseconds, 0);
      words.push(...head(first, this.#options.blockRows, nanoseconds), chain.length);
      for (const draft of chain) this.#instruction(draft, words);
    }
    for (const draft of drafts) {
      if (draft.units === 'row-blocks') continue;
      words.push(...head(draft, 0, draft.nanoseconds), 1);
      this.#instruction(draft, words);
    }
  }

  #instruction(draft: Draft, words: number[]): void {
    words.push(instructionNames.indexOf(draft.code), draft.arguments.length);
    for (const argument of draft.arguments) words.push(...this.#view(argument));
    words.push(draft.numbers.length, ...draft.numbers);
  }

  /** Base, extent, index, offset, stride, width. */
  #view(argument: Argument): number[] {
    const view = (base: Base, extent: Extent, rest: readonly number[]): number[] => [
      bases.indexOf(base),
      extents.indexOf(extent),
      ...rest,
    ];
    if (argument === undefined) return view('absent', 'one', [0, 0, 0, 0]);
    const { names, trainables } = this.#options;
    if ('weight' in argument) {
      return view('weight', 'one', [names.weight(argument.weight), 0, 0, argument.count]);
    }
    if ('gradient' in argument) {
      const index = trainables.get(`weight${argument.gradient}`)!;
      return view('gradient', 'one', [index, 0, 0, argument.count]);
    }
    if ('state' in argument) {
      return view('state', 'one', [names.state(argument.state), 0, 0, argument.count]);
    }
    if ('stateGradient' in argument) {
      const index = names.state(argument.stateGradient);
      return view('state-gradient', 'one', [index, 0, 0, argument.count]);
    }
    const { buffer, column, width } = argument;
    const { isLocal, offset } = this.#options.placement.buffers.get(buffer)!;
    const { extent } = buffer;
    const isBlocks = extent === 'token-blocks' || extent === 'wanted-blocks';
    const isRow = extent === 'one' || extent === 'records';
    const index = isBlocks ? this.#options.blockRows : 0;
    const stride = isRow ? 0 : buffer.width;
    return view(isLocal ? 'local' : 'arena', extent, [index, offset + column, stride, width]);
  }
}
