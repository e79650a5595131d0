/** What ops get when they are prepared for training: values that are kept, and the gradients. */
import type { Parameter, TrainingLimits, Value } from '@rwkv-ts/backend';
import { activationDerivatives } from '../activation.js';
import type { Holding } from '../memory.js';
import { bytesPerNumber, createNumbers, type Numbers, type Precision } from '../numbers.js';
import type { BackwardContext } from '../ops/backward-context.js';
import type { Kernel, OpContext } from '../ops/context.js';
import { writeParameter } from '../ops/parameter.js';
import type { StateBlock } from '../state-blocks.js';
import type { Step } from '../step.js';
import type { ReferenceWeights } from '../weights.js';
import type { Trainable } from './trainable.js';

export interface ContextOptions {
  readonly step: Step;
  readonly precision: Precision;
  readonly chunkSize: number;
  readonly limits: TrainingLimits;
  readonly holding: Holding;
  readonly weights: ReferenceWeights;
  readonly states: readonly StateBlock[];
  /** The weights that learn. */
  readonly trainable: ReadonlyMap<string, Trainable>;
}

export interface ForwardContext extends OpContext {
  /** Brings parameters up to date with the weights that learn. */
  refresh(): void;
}

/** Every value has memory of its own, since the backward pass reads it again. */
export function createForwardContext(options: ContextOptions): ForwardContext {
  const { step, chunkSize, limits, holding, weights, states } = options;
  const values = new Map<number, Numbers>();
  const parameters = new Parameters(options);
  return {
    step,
    chunkSize,
    refresh() {
      parameters.refresh();
    },
    value({ id, rows, width }) {
      const known = values.get(id);
      if (known) return known;
      const count = (rows === 'T' ? limits.tokens : limits.wanted) * width;
      const numbers = allocate(options, { count, what: `Value ${id}` });
      values.set(id, numbers);
      return numbers;
    },
    matrix: (name) => weights.get(name)!.values,
    parameter: (parameter, count) => parameters.get(parameter, count),
    state: (name) => blockOf(states, name),
    scratch: (count) => allocateDoubles(holding, count),
  };
}

/** The numbers of parameters: the weight itself where it is already what the op reads, else a copy with its form. */
class Parameters {
  readonly #options: ContextOptions;
  readonly #known = new Map<string, Numbers>();
  readonly #refresh: (() => void)[] = [];

  constructor(options: ContextOptions) {
    this.#options = options;
  }

  get({ weight, form }: Parameter, count?: number): Numbers {
    const { weights, trainable, precision } = this.#options;
    const stored = weights.get(weight)!.values;
    const length = count ?? stored.length;
    const isStored = form === undefined && length === stored.length;
    if (isStored && bytesPerNumber[precision] === stored.BYTES_PER_ELEMENT) return stored;
    const key = JSON.stringify([weight, form, length]);
    const known = this.#known.get(key);
    if (known) return known;
    const numbers = allocate(this.#options, { count: length, what: `Parameter ${weight}` });
    const write = (): void => {
      writeParameter(numbers, { stored, form });
    };
    write();
    if (trainable.has(weight)) this.#refresh.push(write);
    this.#known.set(key, numbers);
    return numbers;
  }

  refresh(): void {
    for (const write of this.#refresh) write();
  }
}

export interface BackwardOptions extends ContextOptions {
  readonly forward: ForwardContext;
  readonly gradients: ReadonlyMap<number, Numbers>;
  readonly stateGradients: readonly StateBlock[];
  /** Memory for the states of the step's sequences before it; asked for once per state that a backward reads again. */
  readonly stateBefore: (name: string) => Numbers;
}

/**
 * The context of one op's backward, and that kernel with what goes before and after it: gradients of parameters are summed
 * in double over the step, then added to those of their weights through the derivative of the form.
 */
export function prepareWithContext(
  options: BackwardOptions,
  prepare: (context: BackwardContext) => Kernel,
): Kernel {
  const { forward, holding, limits, precision, trainable, weights } = options;
  const sums: ParameterSums[] = [];
  const kernel = prepare({
    ...forward,
    mostTokens: limits.tokens,
    gradient: ({ id }) => options.gradients.get(id),
    outGradient: (value) => options.gradients.get(value.id) ?? zeros(options, value),
    weightGradient: (name) => trainable.get(name)?.gradient,
    parameterGradient(parameter, count) {
      const target = trainable.get(parameter.weight);
      if (!target) return undefined;
      const numbers = allocateDoubles(holding, count);
      sums.push({ numbers, parameter, gradient: target.gradient });
      return numbers;
    },
    stateGradient: (name) => blockOf(options.stateGradients, name),
    stateBefore: options.stateBefore,
    stateScratch: (count) => allocate({ precision, holding }, { count, what: 'Scratch memory' }),
  });
  if (sums.length === 0) return kernel;
  return () => {
    for (const { numbers } of sums) numbers.fill(0);
    kernel();
    for (const part of sums) addToWeight(part, weights.get(part.parameter.weight)!.values);
  };
}

interface ParameterSums {
  readonly numbers: Float64Array;
  readonly parameter: Parameter;
  readonly gradient: Numbers;
}

function addToWeight({ numbers, parameter, gradient }: ParameterSums, stored: Numbers): void {
  const { form } = parameter;
  const each = numbers.length / stored.length;
  for (let at = 0; at < stored.length; at++) {
    let sum = 0;
    for (let part = at * each; part < (at + 1) * each; part++) sum += numbers[part]!;
    gradient[at]! += form === undefined ? sum : sum * activationDerivatives[form](stored[at]!);
  }
}

function zeros(options: ContextOptions, { id, rows, width }: Value): Numbers {
  const count = (rows === 'T' ? options.limits.tokens : options.limits.wanted) * width;
  return allocate(options, { count, what: `The gradient of value ${id}` });
}

function allocate(
  { precision, holding }: { readonly precision: Precision; readonly holding: Holding },
  { count, what }: { readonly count: number; readonly what: string },
): Numbers {
  return holding.allocate({ bytes: count * bytesPerNumber[precision], what }, () =>
    createNumbers(precision, count),
  );
}

function allocateDoubles(holding: Holding, count: number): Float64Array {
  return holding.allocate(
    { bytes: count * 8, what: 'Scratch memory' },
    () => new Float64Array(count),
  );
}

/** What the program's validation has seen. */
function blockOf(blocks: readonly StateBlock[], name: string): StateBlock {
  return blocks.find(({ spec }) => spec.name === name)!;
}
