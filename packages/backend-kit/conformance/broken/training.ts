/** Faults of trainings. */
import type { Training, TrainingOptions } from '@rwkv-ts/backend';
import type { BrokenBackend } from './types.js';

const group = 'training';

export const trainings: readonly BrokenBackend[] = [
  {
    name: 'the gradient of a bias is forgotten',
    group,
    cases: /^norm:/,
    message: /^norm, output 0, gradient of weight2/,
    fault: () => ({
      training: (right) => ({
        read: async (name, part) => {
          const rows = await right.read(name, part);
          return name === 'weight2' && part === 'gradient' ? rows.fill(0) : rows;
        },
      }),
    }),
  },
  {
    name: 'gradients are a thousandth too large',
    group,
    cases: /^matmul:/,
    message: /^matmul, output 0, gradient/,
    fault: () => ({
      training: (right) => ({
        accumulate: (batch, options) =>
          right.accumulate(batch, { ...options, scale: 1.001 * (options?.scale ?? 1) }),
      }),
    }),
  },
  {
    name: 'what comes after a cut is not heard of',
    group,
    cases: /^shift:/,
    message: /^shift, output 0, gradient of/,
    fault: () => ({
      training: (right) => ({
        accumulate: (batch, options) => {
          for (const slot of batch.slots) right.clearStateGradients(slot);
          return right.accumulate(batch, options);
        },
      }),
    }),
  },
  {
    name: 'weights of rows are ignored',
    group,
    cases: /^add:/,
    message: /^add, output 0, loss 0/,
    fault: () => ({
      training: (right) => ({
        evaluate: ({ lossWeights: _, ...batch }) => right.evaluate(batch),
        accumulate: ({ lossWeights: _, ...batch }, options) => right.accumulate(batch, options),
      }),
    }),
  },
  {
    name: 'weights of rows count for the loss alone',
    group,
    cases: /^add:/,
    message: /^add, output 0, gradient of/,
    fault: () => ({
      // The program of the case has no state, so that running a batch twice does nothing else.
      training: (right) => ({
        accumulate: async (batch, options) => {
          const { tokens, starts, slots, wanted, targets } = batch;
          await right.accumulate({ tokens, starts, slots, wanted, targets }, options);
          return right.evaluate(batch);
        },
      }),
    }),
  },
  {
    name: 'the hold on large logits is missing',
    group,
    cases: /^RWKV-7: everything learns/,
    message: /^the model, gradient of/,
    fault: () => ({
      training: (right) => ({
        accumulate: (batch, options) => right.accumulate(batch, { scale: options?.scale ?? 1 }),
      }),
    }),
  },
  {
    name: 'every run replaces the gradients of the one before',
    group,
    cases: /^RWKV-4: gradients add up/,
    message: /^half of what two runs left/,
    fault: () => ({
      training: (right, { trainable }) => ({
        accumulate: async (batch, options) => {
          const old = await gradients(right, trainable);
          const loss = right.accumulate(batch, options);
          const both = await gradients(right, trainable);
          for (const [name, rows] of both) {
            right.write(
              name,
              'gradient',
              rows.map((number, at) => number - old.get(name)![at]!),
            );
          }
          return loss;
        },
      }),
    }),
  },
  {
    name: 'sums whose order changes from run to run',
    group,
    cases: /^RWKV-7: the same calls/,
    message: /gradients of the same runs again/,
    fault: () => {
      let runs = 0;
      return {
        training: (right) => ({
          accumulate: (batch, options) => {
            const scale = (options?.scale ?? 1) * (1 + (runs++ % 3) * 2 ** -23);
            return right.accumulate(batch, { ...options, scale });
          },
        }),
      };
    },
  },
  {
    name: 'evaluate leaves the states where they were',
    group,
    cases: /^RWKV-4: evaluate/,
    message: /evaluate must move the states on/,
    fault: () => ({
      training: (right) => ({
        evaluate: async (batch) => {
          const before = await Promise.all([...batch.slots].map((slot) => right.readStates(slot)));
          const loss = await right.evaluate(batch);
          for (const [index, slot] of batch.slots.entries())
            right.writeStates(slot, before[index]!);
          return loss;
        },
      }),
    }),
  },
  {
    name: 'reset gives the numbers of the program',
    group,
    cases: /^RWKV-4: states come and go/,
    message: /resetSlot must give the initial numbers as they stand/,
    fault: () => ({
      training: (right) => ({
        resetSlot: (slot) => {
          // Slot 7 is never touched in the case, and holds what creation wrote.
          right.copyStates(7, slot);
          right.clearStateGradients(slot);
        },
      }),
    }),
  },
  {
    name: 'reset leaves gradients in the slot',
    group,
    cases: /^RWKV-4: slots share nothing/,
    message: /gradients of a slot that was reset/,
    fault: () => ({
      training: (right) => ({
        resetSlot: (slot) => {
          // Slot 2 is never in the case's batches, so that its states stand for reset ones.
          right.copyStates(2, slot);
        },
      }),
    }),
  },
  {
    name: 'the mean corrected for a step too many',
    group,
    cases: /^update: five steps/,
    message: /^five steps, value of/,
    fault: () => ({
      training: (right) => ({
        update: (options) => right.update({ ...options, step: options.step + 1 }),
      }),
    }),
  },
  {
    name: 'every weight decays',
    group,
    cases: /^update: five steps/,
    message: /^five steps, value of/,
    fault: () => ({
      trainingOptions: (options) => ({
        ...options,
        trainable: options.trainable.map((spec) => ({ ...spec, weightDecayFactor: 1 })),
      }),
    }),
  },
  {
    name: 'factors of the learning rate are ignored',
    group,
    cases: /^update: five steps/,
    message: /^five steps, value of/,
    fault: () => ({
      trainingOptions: (options) => ({
        ...options,
        trainable: options.trainable.map((spec) => ({ ...spec, learningRateFactor: 1 })),
      }),
    }),
  },
  {
    name: 'gradients are never scaled down',
    group,
    cases: /^update: gradients above/,
    message: /^five steps with a limit, first-moment/,
    fault: () => ({
      training: (right) => ({
        update: ({ gradientNormLimit: _, ...options }) => right.update(options),
      }),
    }),
  },
  {
    name: 'gradients stay after an update',
    group,
    cases: /^update: five steps/,
    message: /^five steps, gradient of/,
    fault: () => ({
      training: (right, { trainable }) => ({
        update: async (options) => {
          const old = await gradients(right, trainable);
          const result = await right.update(options);
          for (const [name, rows] of old) right.write(name, 'gradient', rows);
          return result;
        },
      }),
    }),
  },
  {
    name: 'a gradient that is not finite is called applied',
    group,
    cases: /^update: a gradient that is not finite/,
    message: /^applied with a gradient of NaN/,
    fault: () => ({
      training: (right) => ({
        update: async (options) => ({ ...(await right.update(options)), applied: true }),
      }),
    }),
  },
  {
    name: 'the form of parameters is applied once and for all',
    group,
    cases: /^update: ops read/,
    message: /the loss must fall with every step|numbers that were written/,
    fault: () => ({
      training: (right) => {
        const value = right.read('weight1', 'value').catch(() => undefined);
        return {
          accumulate: async (batch, options) => {
            const old = await value;
            if (old) right.write('weight1', 'value', old);
            return right.accumulate(batch, options);
          },
          evaluate: async (batch) => {
            const old = await value;
            if (old) right.write('weight1', 'value', old);
            return right.evaluate(batch);
          },
        };
      },
    }),
  },
  {
    name: 'bytes of a training are never given back',
    group,
    cases: /^disposal waits/,
    message: /bytes of a backend without handles/,
    fault: () => ({ bytes: (bytes) => bytes + 1 }),
  },
  {
    name: 'read gives the numbers themselves',
    group,
    cases: /^arrays that are given/,
    message: /read must give a copy/,
    fault: () => ({
      training: (right) => {
        const given = new Map<string, Awaited<ReturnType<Training['read']>>>();
        return {
          read: async (name, part) => {
            const rows = given.get(name) ?? (await right.read(name, part));
            given.set(name, rows);
            return rows;
          },
        };
      },
    }),
  },
];

async function gradients(training: Training, trainable: TrainingOptions['trainable']) {
  const all = await Promise.all(
    trainable.map(async ({ name }) => [name, await training.read(name, 'gradient')] as const),
  );
  return new Map(all);
}
