/**
 * Every public golden model, from its original file, on an emulated device, against what the official Python code computed
 * in float64; then the trained tiny models of rwkv.cpp. With matrix units, products of 16-bit weights with many tokens
 * round activations to 16 bits too, and are held to less.
 */
import { afterAll, describe, vi } from 'vitest';
import { goldenCases } from '../../generate/test/golden-cases.js';
import { goldenFolder, goldenMissing, goldenModels } from '../../generate/test/golden.js';
import { openGolden } from '../../generate/test/golden-subject.js';
import { rwkvCppCases } from '../../generate/test/rwkv-cpp-cases.js';
import { createEmulated, emulation } from './emulated.js';

vi.setConfig({ hookTimeout: 300_000, testTimeout: 300_000 });

const missing = emulation.missing ?? (goldenFolder ? undefined : goldenMissing);
const bounds = { logits: 3e-4, state: 3e-4 };
/** A rounding to 8 bits errs by up to 2^-9 of a number; over the layers of these models that came to 0.04 of a logit. */
const roundedBounds = { logits: 0.08, state: 0.2 };
const report: string[] = [];

describe.skipIf(missing !== undefined)(`golden models ${missing ?? ''}`, () => {
  afterAll(() => {
    console.log(`worst absolute differences from the float64 truth:\n${report.join('\n')}`);
  });
  for (const matrixUnits of ['auto', 'never'] as const) {
    for (const model of goldenModels) {
      const isRounded = matrixUnits === 'auto' && !model.file.includes('fp32');
      // What matrix units do not multiply is the same without them.
      if (matrixUnits === 'auto' && !isRounded) continue;
      describe(`${model.id}, matrix units: ${matrixUnits}`, () => {
        goldenCases({
          load: async () => openGolden(model, await createEmulated({ matrixUnits })),
          ...(isRounded ? roundedBounds : bounds),
          report: ({ logits, state }) => {
            report.push(
              `  ${model.id.padEnd(22)} ${matrixUnits.padEnd(6)}  logits ${logits.toExponential(1)}  state ${state.toExponential(1)}`,
            );
          },
        });
      });
    }
  }
  // The kernels are those of one device; what is between the devices is the same in every format.
  const split = ['v4 fp32', 'v6 fp32', 'v7 fp32', 'v7 hs32-small.fp32'];
  for (const model of goldenModels.filter(({ id }) => split.includes(id))) {
    describe(`${model.id}, on two devices`, () => {
      goldenCases({
        load: async () => openGolden(model, await createEmulated({ devices: [0, 1] })),
        ...bounds,
        report: ({ logits, state }) => {
          report.push(
            `  ${model.id.padEnd(22)} devices  logits ${logits.toExponential(1)}  state ${state.toExponential(1)}`,
          );
        },
      });
    });
  }
});

describe.skipIf(missing !== undefined)(`models of rwkv.cpp ${missing ?? ''}`, () => {
  rwkvCppCases(
    (['auto', 'never'] as const).map((matrixUnits) => ({
      name: `matrix units: ${matrixUnits}`,
      create: () => createEmulated({ matrixUnits }),
    })),
  );
});
