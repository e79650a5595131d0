/**
 * Builds and runs the native tests, native/test/<name>.test.cc: plain programs over the emulation that exit 0 or print
 * what failed.
 *
 *   node scripts/native-tests.mjs [name …] [--sanitize address,undefined]
 */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, execute, inParallel } from './compile.mjs';
import {
  compiler,
  emulationObjects,
  hostFlags,
  lockedBuild,
  missingForEmulation,
  nativeFolder,
} from './emulation.mjs';

/** The tests by name. */
export const nativeTests = () =>
  readdirSync(join(nativeFolder, 'test'))
    .filter((file) => file.endsWith('.test.cc'))
    .sort()
    .map((file) => file.slice(0, -'.test.cc'.length));

/** @returns {Promise<Map<string, string>>} the program of each test */
export async function buildNativeTests({ names = nativeTests(), sanitize } = {}) {
  const objects = await emulationObjects({ sanitize });
  const engine = ['engine/device.cc', 'driver/library.cc'];
  const toolkit = '/usr/local/cuda/include';
  const compileOne = (source) =>
    compile({
      folder: nativeFolder,
      command: [
        ...compiler().split(' '),
        ...hostFlags(sanitize),
        ...(existsSync(toolkit) ? ['-isystem', toolkit] : []),
        '-c',
        source,
      ],
      output: join(dirname(objects[0]), `${source.replaceAll('/', '_')}.o`),
      dependencies: true,
    });
  const shared = await inParallel(engine, compileOne);
  const programs = await inParallel(names, async (name) => {
    const own = await compileOne(`test/${name}.test.cc`);
    const inputs = [own, ...shared, ...objects];
    return compile({
      folder: nativeFolder,
      command: [...compiler().split(' '), ...hostFlags(sanitize), ...inputs, '-ldl'],
      output: join(dirname(own), `test_${name}`),
      inputs,
    });
  });
  return new Map(names.map((name, index) => [name, programs[index]]));
}

const thisFile = fileURLToPath(import.meta.url);

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { locked: { type: 'boolean' }, sanitize: { type: 'string' } },
  });
  const missing = missingForEmulation();
  if (missing !== undefined) {
    console.log(`native tests skipped: ${missing}.`);
    return process.env.CI === 'true' ? 1 : 0;
  }
  const { sanitize } = values;
  const names = positionals.length > 0 ? positionals : nativeTests();
  // One process builds at a time; the tests run outside of that.
  if (!values.locked && lockedBuild(thisFile) !== 0) return 1;
  let failures = 0;
  try {
    for (const [name, program] of await buildNativeTests({ names, sanitize })) {
      if (values.locked) continue;
      const { status, said } = await execute([program], nativeFolder);
      console.log(`${name}: ${status === 0 ? 'passed' : 'failed'}`);
      if (said.trim() !== '') console.log(said.trimEnd());
      if (status !== 0) failures++;
    }
  } catch (error) {
    console.error(error.output ?? '', error.message);
    return 1;
  }
  return failures === 0 ? 0 : 1;
}

if (process.argv[1] === thisFile) process.exitCode = await main();
