/** A backend around the reference with one thing done wrong, to see that the suite notices. */
import type {
  Backend,
  BackendSupports,
  Batch,
  Executable,
  HostWeight,
  Program,
  Rows,
  States,
  Training,
  TrainingOptions,
} from '@rwkv-ts/backend';
import { createReferenceBackend } from '@rwkv-ts/reference';

/** Each is given what the reference would do, and does otherwise. */
export interface Fault {
  readonly supports?: (supports: BackendSupports) => BackendSupports;
  readonly weight?: (weight: HostWeight) => HostWeight;
  readonly weights?: (weights: AsyncIterable<HostWeight>) => AsyncIterable<HostWeight>;
  /** Changes a program before the reference compiles it. */
  readonly program?: (program: Program) => Program;
  /** One per executable; `right` is the reference's own run. */
  readonly run?: (right: Executable['run'], states: States) => (batch: Batch) => Promise<Rows>;
  readonly outputRow?: (right: NonNullable<Executable['outputRow']>) => Executable['outputRow'];
  readonly states?: (right: States) => Partial<States>;
  readonly bytes?: (bytes: number) => number;
  /** Compiles in place of the reference. */
  readonly compile?: (right: Backend['compile']) => Backend['compile'];
  /** Changes what a training is made with. */
  readonly trainingOptions?: (options: TrainingOptions) => TrainingOptions;
  /** One per training; `right` is the reference's own. */
  readonly training?: (right: Training, options: TrainingOptions) => Partial<Training>;
  /** Wraps the disposal of the backend. */
  readonly dispose?: (right: () => Promise<void>) => () => Promise<void>;
}

/** The methods of a handle, bound, so that a changed copy can be made. */
const bind = (states: States): States => ({
  slots: states.slots,
  get bytes() {
    return states.bytes;
  },
  reset: (slot) => {
    states.reset(slot);
  },
  copy: (from, to) => {
    states.copy(from, to);
  },
  read: (slot) => states.read(slot),
  write: (slot, bytes) => {
    states.write(slot, bytes);
  },
  [Symbol.asyncDispose]: () => states[Symbol.asyncDispose](),
});

const bindTraining = (training: Training): Training => ({
  get bytes() {
    return training.bytes;
  },
  evaluate: (batch) => training.evaluate(batch),
  accumulate: (batch, options) => training.accumulate(batch, options),
  update: (options) => training.update(options),
  resetSlot: (slot) => {
    training.resetSlot(slot);
  },
  copyStates: (from, to) => {
    training.copyStates(from, to);
  },
  clearStateGradients: (slot) => {
    training.clearStateGradients(slot);
  },
  collectInitialGradients: (slot) => {
    training.collectInitialGradients(slot);
  },
  readStates: (slot) => training.readStates(slot),
  writeStates: (slot, bytes) => {
    training.writeStates(slot, bytes);
  },
  read: (name, part) => training.read(name, part),
  write: (name, part, numbers) => {
    training.write(name, part, numbers);
  },
  [Symbol.asyncDispose]: () => training[Symbol.asyncDispose](),
});

/** A bound copy with some methods changed. */
function override<Handle extends object>(bound: Handle, changes: Partial<Handle>): Handle {
  // Not spread, which would read `bytes` once and for all.
  return Object.defineProperties(bound, Object.getOwnPropertyDescriptors(changes));
}

async function* mapWeights(
  weights: AsyncIterable<HostWeight>,
  change: (weight: HostWeight) => HostWeight,
): AsyncGenerator<HostWeight> {
  for await (const weight of weights) yield change(weight);
}

export function createBroken(fault: Fault): Backend {
  const right = createReferenceBackend({ precision: 'f32' });
  /** The reference's own states behind the ones handed out. */
  const inner = new WeakMap<States, States>();
  const { supports, bytes = (count: number) => count, dispose } = fault;
  const release = async () => right[Symbol.asyncDispose]();
  return {
    specificationVersion: 'v1',
    name: 'broken',
    supports: supports ? supports(right.supports) : right.supports,
    get bytes() {
      return bytes(right.bytes);
    },
    upload: (weights, options) => {
      const source = fault.weights?.(weights) ?? weights;
      return right.upload(fault.weight ? mapWeights(source, fault.weight) : source, options);
    },
    createStates: async (specs, slots) => {
      const states = await right.createStates(specs, slots);
      const changed = fault.states
        ? override(bind(states), fault.states(bind(states)))
        : bind(states);
      inner.set(changed, states);
      return changed;
    },
    compile: async (program, { weights, states }, limits) => {
      const compile: Backend['compile'] = (...given) => right.compile(...given);
      const own = inner.get(states) ?? states;
      const changed = fault.program?.(program) ?? program;
      const chosen = fault.compile?.(compile) ?? compile;
      const executable = await chosen(changed, { weights, states: own }, limits);
      const run = (batch: Batch) => executable.run(batch);
      const outputRow = (row: number) => executable.outputRow!(row);
      return {
        get bytes() {
          return executable.bytes;
        },
        run: fault.run ? fault.run(run, own) : run,
        outputRow: fault.outputRow?.(outputRow) ?? outputRow,
        [Symbol.asyncDispose]: () => executable[Symbol.asyncDispose](),
      };
    },
    createTraining: async (program, weights, options) => {
      const changed = fault.program?.(program) ?? program;
      const given = fault.trainingOptions?.(options) ?? options;
      const training = await right.createTraining(changed, weights, given);
      const bound = bindTraining(training);
      return fault.training
        ? override(bound, fault.training(bindTraining(training), given))
        : bound;
    },
    [Symbol.asyncDispose]: dispose ? dispose(release) : release,
  };
}
