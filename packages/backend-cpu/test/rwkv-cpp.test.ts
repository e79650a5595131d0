/** The trained tiny models of rwkv.cpp on every instruction set. */
import { describe } from 'vitest';
import { goldenFolder, goldenMissing } from '../../generate/test/golden.js';
import { rwkvCppCases } from '../../generate/test/rwkv-cpp-cases.js';
import { availableInstructions, createCpuBackend } from '../src/index.js';

describe.skipIf(!goldenFolder)(
  `trained tiny models of rwkv.cpp${goldenFolder ? '' : ` (${goldenMissing})`}`,
  () => {
    rwkvCppCases(
      availableInstructions().map((instructions) => ({
        name: instructions,
        create: () => createCpuBackend({ instructions }),
      })),
    );
  },
);
