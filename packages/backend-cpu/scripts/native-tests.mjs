/**
 * Builds and runs the native tests, native/test/<name>.test.cc: plain programs that exit 0 or print what failed, and take
 * an instruction set as their argument where they test kernels. Compiles what changed, into build/native-tests.
 *
 *   node scripts/native-tests.mjs [name …]                 on this processor, every instruction set it runs
 *     --instructions avx2,scalar                           only these
 *     --sanitize address,undefined | --sanitize thread     with a sanitizer; its own objects, in minutes
 *     --arch arm64                                         cross-compiled, under qemu-aarch64-static
 *
 * CXX names the compiler (for another architecture CXX_arm64). Without a sanitizer, this processor's tests link the very
 * objects that node-gyp made for the addon.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CannotBuild } from '@rwkv-ts/native/scripts/build-addon.mjs';
import { buildTools } from '@rwkv-ts/native/scripts/platform.mjs';
import { addonObjects } from './build-native.mjs';
import {
  commonFlags,
  engineFlags,
  instructionSetFlags,
  instructionSets,
  instructionSetSources,
  packageFolder,
  sources,
} from './native-sources.mjs';

/** What test programs link beside the kernels of instruction sets. */
const libraryFolders = ['native/engine', 'native/kernels', 'native/training'];
const testFolder = join(packageFolder, 'native/test');
const emulators = { arm64: { command: 'qemu-aarch64-static', options: ['-cpu', 'max'] } };
const crossCompilers = { arm64: 'aarch64-linux-gnu-g++' };

/** Test programs by name; `instructions` says whether one takes an instruction set. */
export function testPrograms() {
  return readdirSync(testFolder)
    .filter((file) => file.endsWith('.test.cc'))
    .sort()
    .map((file) => ({
      name: file.slice(0, -'.test.cc'.length),
      takesInstructions: /\bmain\(int\b/.test(readFileSync(join(testFolder, file), 'utf8')),
    }));
}

/** What is missing to test `arch` here, in words; undefined where nothing is. */
export function missingFor(arch) {
  if (process.platform === 'win32')
    return 'native tests need a compiler driver like g++; not on Windows';
  const compiler = compilerFor(arch);
  if (!works(compiler)) {
    return arch === process.arch
      ? `${compiler} not found; install ${buildTools()}`
      : `${compiler} not found`;
  }
  if (arch === process.arch) return undefined;
  const emulator = emulators[arch]?.command;
  return emulator !== undefined && works(emulator)
    ? undefined
    : `${emulator ?? 'an emulator'} not found`;
}

/**
 * Compiles and links the tests of `names`, all by default.
 * Its result is described in native-tests.d.mts.
 */
export async function buildNativeTests({ arch = process.arch, sanitize, names } = {}) {
  const build = makeBuild({ arch, sanitize });
  const wanted = testPrograms().filter(({ name }) => names === undefined || names.includes(name));
  const ownObjects = arch === process.arch && sanitize === undefined ? addonObjects() : undefined;
  const lister = 'native/test/instruction-sets.cc';
  const tests = [lister, ...wanted.map(({ name }) => `native/test/${name}.test.cc`)];
  const shared =
    ownObjects === undefined
      ? [
          ...Object.keys(instructionSets[arch]).flatMap((name) =>
            instructionSetSources(name).map((source) => ({
              source,
              flags: instructionSetFlags(name),
            })),
          ),
          ...libraryFolders.flatMap(sources).map((source) => ({ source })),
        ]
      : [];
  const objects = await build.compileAll([...shared, ...tests.map((source) => ({ source }))]);
  const library = ownObjects ?? objects.slice(0, shared.length);
  const linked = await build.linkAll(
    tests.map((source, index) => ({
      name: source === lister ? 'instruction-sets' : wanted[index - 1].name,
      objects: [objects[shared.length + index], ...library],
    })),
  );
  const listed = await build.execute(linked[0], []);
  if (listed.status !== 0) throw new Error(`instruction-sets: ${listed.output}`);
  return {
    here: listed.output.trim().split('\n'),
    sharedSymbols: () => sharedSymbols({ objects: library, nm: build.nm }),
    run: (program, instructions) =>
      build.execute(join(build.folder, program), instructions === undefined ? [] : [instructions]),
  };
}

export function instructionSetsOf(arch) {
  return Object.keys(instructionSets[arch] ?? { scalar: [] });
}

/**
 * Functions that an instruction set's object defines outside its own namespace in a way that lets the linker merge them
 * with another object's: the copy it keeps could be the one with instructions that the processor lacks.
 */
async function sharedSymbols({ objects, nm }) {
  const found = [];
  for (const object of objects) {
    const [, name] = /isa_(.+?)(?:\.cc)?\.o$/.exec(object) ?? [];
    if (name === undefined) continue;
    const { status, output } = await execute([nm, '-C', '--defined-only', object]);
    if (status !== 0) throw new Error(output);
    const own = `rwkv::${name.replaceAll('-', '_')}::`;
    for (const [, kind, symbol] of output.matchAll(/^[0-9a-f]* (\w) (.+)$/gm)) {
      if (/[A-Zu]/.test(kind) && !symbol.includes(own)) found.push(`${name}: ${symbol}`);
    }
  }
  return found;
}

function makeBuild({ arch, sanitize }) {
  const missing = missingFor(arch);
  if (missing !== undefined) throw new CannotBuild(missing);
  const emulator = arch === process.arch ? undefined : emulators[arch];
  const name = [arch, ...(sanitize === undefined ? [] : sanitize.split(','))].join('-');
  const folder = join(packageFolder, 'build/native-tests', name);
  const [compiler, ...compilerFlags] = compilerFor(arch).split(' ');
  const sanitizeFlags =
    sanitize === undefined ? [] : [`-fsanitize=${sanitize}`, '-fno-sanitize-recover=all', '-g1'];
  const optimise = sanitize === undefined ? '-O2' : '-O1';
  const includes = ['native', 'native/kernels', 'native/engine'].map((path) => `-I${path}`);
  const flags = [...compilerFlags, '-std=c++17', optimise, '-pthread', ...commonFlags, ...includes];

  return {
    folder,
    nm: emulator === undefined ? 'nm' : compiler.replace(/g\+\+$/, 'nm'),
    compileAll: (items) =>
      inParallel(items, async ({ source, flags: more = engineFlags }) => {
        const object = join(folder, `${source.replaceAll('/', '_')}.o`);
        const command = [compiler, ...flags, ...sanitizeFlags, ...more, '-c', source];
        if (isCurrent(object, command)) return object;
        await make(object, [...command, '-MMD', '-MF', `${object}.d`, '-o', object], command);
        return object;
      }),
    linkAll: (programs) =>
      inParallel(programs, async ({ name: program, objects }) => {
        const path = join(folder, program);
        const statically = emulator === undefined ? [] : ['-static'];
        const options = [...compilerFlags, '-pthread', ...sanitizeFlags, ...statically];
        const command = [compiler, ...options, ...objects, '-o', path];
        const newest = Math.max(...objects.map((object) => statSync(object).mtimeMs));
        if (isRecorded(path, command) && statSync(path).mtimeMs >= newest) return path;
        await make(path, command, command);
        return path;
      }),
    execute: (path, options) =>
      emulator === undefined
        ? execute([path, ...options])
        : execute([emulator.command, ...emulator.options, path, ...options]),
  };
}

function compilerFor(arch) {
  if (arch !== process.arch)
    return process.env[`CXX_${arch}`] ?? crossCompilers[arch] ?? `a compiler for ${arch}`;
  return process.env.CXX ?? (['g++', 'clang++'].find(works) || 'c++');
}

function works(command) {
  return spawnSync(command.split(' ')[0], ['--version'], { stdio: 'ignore' }).status === 0;
}

/** Newer than everything it was compiled from, by the same command. */
function isCurrent(object, command) {
  if (!isRecorded(object, command) || !existsSync(`${object}.d`)) return false;
  const { mtimeMs } = statSync(object);
  const [, ...inputs] = readFileSync(`${object}.d`, 'utf8')
    .replaceAll('\\\n', ' ')
    .split(/\s+/)
    .filter(Boolean);
  return inputs.every((input) => {
    const path = join(packageFolder, input);
    const file = input.startsWith('/') ? input : path;
    return existsSync(file) && statSync(file).mtimeMs < mtimeMs;
  });
}

function isRecorded(output, command) {
  const record = `${output}.command`;
  return (
    existsSync(output) && existsSync(record) && readFileSync(record, 'utf8') === command.join(' ')
  );
}

async function make(output, command, recorded) {
  mkdirSync(dirname(output), { recursive: true });
  const { status, output: said } = await execute(command);
  if (status !== 0) throw Object.assign(new Error(`${command.join(' ')} failed`), { output: said });
  if (said.trim() !== '') process.stderr.write(said);
  writeFileSync(`${output}.command`, recorded.join(' '));
}

/** Output is stdout and stderr together; a signal counts as failure and is named. */
function execute([command, ...options]) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, options, {
      cwd: packageFolder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal !== null) output += `\nended by ${signal}`;
      resolve({ status: code ?? 1, output });
    });
  });
}

async function inParallel(items, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(items.length, availableParallelism()) }, worker));
  return results;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      arch: { type: 'string' },
      instructions: { type: 'string' },
      sanitize: { type: 'string' },
    },
  });
  return runAll({ names: positionals, ...values });
}

async function runAll({ names, arch = process.arch, sanitize, instructions }) {
  const chosen = names.length === 0 ? undefined : names;
  let tests;
  try {
    tests = await buildNativeTests({ arch, sanitize, names: chosen });
  } catch (error) {
    if (!(error instanceof CannotBuild)) {
      console.error(error.output ?? '', error.message);
      return 1;
    }
    console.log(`native tests for ${arch} skipped: ${error.message}.`);
    return process.env.CI === 'true' ? 1 : 0;
  }
  const sets = instructions?.split(',') ?? tests.here;
  let failed = 0;
  for (const { name, takesInstructions } of testPrograms()) {
    if (chosen !== undefined && !chosen.includes(name)) continue;
    for (const set of takesInstructions ? sets : [undefined]) {
      const started = performance.now();
      const { status, output } = await tests.run(name, set);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(`${status === 0 ? 'ok' : 'FAILED'}: ${name} ${set ?? ''} (${seconds} s)`);
      if (status !== 0) console.log(output);
      failed += status === 0 ? 0 : 1;
    }
  }
  return failed === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(await main());
