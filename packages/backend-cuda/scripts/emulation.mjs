/**
 * Builds the emulation (native/emulation): kernels compiled by the host's compiler, as a library that stands in for the
 * driver, build/emulation/libcuda-emulated.so; prints its path. Linux, on x86-64 or AArch64.
 *
 *   node scripts/emulation.mjs [--sanitize address]
 *   node scripts/emulation.mjs --list       the kernels and the layouts of their arguments, as JSON
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withLock } from '@rwkv-ts/native/scripts/lock.mjs';
import { compile, execute, inParallel } from './compile.mjs';

export const nativeFolder = join(dirname(fileURLToPath(import.meta.url)), '../native');
const buildFolder = join(nativeFolder, '../build');

/** What is missing to build the emulation here, in words; undefined where nothing is. */
export function missingForEmulation() {
  if (process.platform !== 'linux') return 'the emulation of a device is for Linux';
  if (!['x64', 'arm64'].includes(process.arch)) return 'the emulation is for x86-64 and AArch64';
  return compiler() === undefined ? 'no g++ or clang++' : undefined;
}

export function compiler() {
  const works = (command) =>
    spawnSync(command.split(' ')[0], ['--version'], { stdio: 'ignore' }).status === 0;
  return [process.env.CXX, 'g++', 'clang++'].find((each) => each !== undefined && works(each));
}

/** The flags of everything that is compiled for the emulation and for native tests. */
export function hostFlags(sanitize) {
  // One rounding only where a kernel asks for it, so that every compiler gives the same bits.
  const flags = ['-std=c++20', '-O2', '-Wall', '-Wextra', '-fPIC', '-ffp-contract=off', '-I.'];
  return sanitize === undefined
    ? flags
    : [...flags, '-g1', `-fsanitize=${sanitize}`, '-fno-sanitize-recover=all'];
}

/** The translation units of kernels, relative to `nativeFolder`. */
export const kernelSources = () =>
  readdirSync(join(nativeFolder, 'kernels'))
    .filter((name) => name.endsWith('.cu'))
    .sort()
    .map((name) => `kernels/${name}`);

/** The objects that the library and native tests are linked from. */
export function emulationObjects({ sanitize } = {}) {
  const folder = join(buildFolder, sanitize === undefined ? 'emulation' : `emulation-${sanitize}`);
  const sources = [
    ...kernelSources(),
    ...['driver', 'fiber', 'machine'].map((name) => `emulation/${name}.cc`),
  ];
  return inParallel(sources, (source) =>
    compile({
      folder: nativeFolder,
      command: [
        ...compiler().split(' '),
        ...hostFlags(sanitize),
        '-fvisibility=hidden',
        ...(source.endsWith('.cu') ? ['-x', 'c++'] : []),
        '-c',
        source,
      ],
      output: join(folder, `${source.replaceAll('/', '_')}.o`),
      dependencies: true,
    }),
  );
}

/** @returns {Promise<string>} the path of the library */
export async function buildEmulation({ sanitize } = {}) {
  const objects = await emulationObjects({ sanitize });
  return compile({
    folder: nativeFolder,
    command: [...compiler().split(' '), ...hostFlags(sanitize), '-shared', ...objects],
    output: join(dirname(objects[0]), 'libcuda-emulated.so'),
    inputs: objects,
  });
}

/** What `rwkv_emulated_kernels` of the library says. */
async function listKernels() {
  const objects = await emulationObjects();
  const program = await compile({
    folder: nativeFolder,
    command: [...compiler().split(' '), ...hostFlags(), 'emulation/list.cc', ...objects],
    output: join(buildFolder, 'emulation/list'),
    inputs: ['emulation/list.cc', ...objects],
  });
  return (await execute([program], nativeFolder)).said.trim();
}

/** Runs the script again, with --locked, while no other process builds the emulation. Its exit status. */
export function lockedBuild(script, options = process.argv.slice(2)) {
  const run = () =>
    spawnSync(process.execPath, [script, '--locked', ...options], { stdio: 'inherit' });
  return withLock(join(buildFolder, 'emulation.lock'), run).status ?? 1;
}

async function main() {
  const { values } = parseArgs({
    options: {
      list: { type: 'boolean' },
      locked: { type: 'boolean' },
      sanitize: { type: 'string' },
    },
  });
  const missing = missingForEmulation();
  if (missing !== undefined) {
    console.error(`The emulation is not built: ${missing}.`);
    return 1;
  }
  if (!values.locked) return lockedBuild(fileURLToPath(import.meta.url));
  try {
    console.log(values.list ? await listKernels() : await buildEmulation(values));
    return 0;
  } catch (error) {
    console.error(error.output ?? '', error.message);
    return 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
