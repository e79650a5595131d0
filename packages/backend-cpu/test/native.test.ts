/**
 * The C++ tests of native/test, one test for each program and instruction set: on this processor with the addon's own
 * objects, and as aarch64 under emulation where the cross-compiler and qemu-aarch64-static are there. Emulation is fifty
 * times slower, so there the long programs run for the best instruction set only, and what is tested on this processor
 * from the same source, `scalar`, not at all; `node scripts/native-tests.mjs --arch arm64` runs everything.
 */
import { beforeAll, describe, test } from 'vitest';
import {
  buildNativeTests,
  instructionSetsOf,
  missingFor,
  type NativeTests,
  testPrograms,
} from '../scripts/native-tests.mjs';

const buildTimeout = 900_000;
const runTimeout = 120_000;
const emulatedTimeout = 900_000;
const mustRun = process.env['CI'] === 'true' && process.platform !== 'win32';

for (const arch of new Set([process.arch, 'arm64'])) {
  const missing = missingFor(arch);
  if (missing === undefined)
    describe.concurrent(`native tests, ${arch}`, () => {
      testsFor(arch);
    });
  else if (arch === process.arch && mustRun) {
    test(`native tests, ${arch}`, () => {
      throw new Error(missing);
    });
  } else test.skip(`native tests, ${arch}: ${missing}`, () => undefined);
}

function testsFor(arch: string): void {
  let tests: NativeTests;
  beforeAll(async () => {
    tests = await buildNativeTests({ arch });
  }, buildTimeout);

  for (const { name, takesInstructions } of testPrograms()) {
    for (const instructions of takesInstructions ? setsFor(arch, name) : [undefined]) {
      test(
        [name, instructions].join(' ').trim(),
        async (context) => {
          if (instructions !== undefined && !tests.here.includes(instructions)) {
            context.skip(`this processor has no ${instructions}`);
          }
          const { status, output } = await tests.run(name, instructions);
          context.expect(status, output).toBe(0);
        },
        arch === process.arch ? runTimeout : emulatedTimeout,
      );
    }
  }

  test('no function is shared between instruction sets', async ({ expect }) => {
    expect(await tests.sharedSymbols()).toEqual([]);
  });
}

function setsFor(arch: string, program: string): string[] {
  const sets = instructionSetsOf(arch);
  if (arch === process.arch) return sets;
  return program.startsWith('linear') ? sets.slice(-1) : sets.filter((name) => name !== 'scalar');
}
