/**
 * What the addon is made of: the instruction sets of each processor with their compiler flags, and the source files.
 * binding.gyp asks by command line (`node scripts/native-sources.mjs addon`, `… flags avx512`), the native tests import it.
 */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const packageFolder = join(dirname(fileURLToPath(import.meta.url)), '..');

// Sixteen plain numbers written out keep g++'s search for vectors busy for minutes.
const scalar = ['-fno-tree-slp-vectorize'];
const avx2 = ['-mavx2', '-mfma', '-mf16c'];
const avx512 = ['f', 'bw', 'dq', 'vl', 'vnni'].map((part) => `-mavx512${part}`).concat(avx2);

/** The sources of each are native/kernels/isa_<name>*.cc. */
export const instructionSets = {
  x64: {
    scalar,
    avx2,
    avxvnni: [...avx2, '-mavxvnni'],
    avx512,
    avx512bf16: [...avx512, '-mavx512bf16'],
  },
  arm64: {
    scalar,
    neon: [],
    'neon-dotprod': ['-march=armv8.2-a+dotprod'],
    'neon-i8mm': ['-march=armv8.2-a+dotprod+i8mm'],
  },
};

/**
 * A product and a sum stay two roundings except where a kernel asks for one, so that every compiler gives the same bits.
 */
export const commonFlags = [
  '-ffp-contract=off',
  '-fvisibility=hidden',
  '-fno-rtti',
  '-Wall',
  '-Wextra',
];

/** Kernels never fail. The engine does: the system may give no more threads, which C++ says by an exception. */
const kernelFlags = ['-fno-exceptions'];
export const engineFlags = ['-fexceptions'];

export const sourceFolders = ['native/addon', 'native/engine', 'native/kernels', 'native/training'];

/** The .cc files of a folder; of the kernels, those that every processor compiles alike. Paths as gyp likes them. */
export function sources(folder) {
  const full = join(packageFolder, folder);
  return (existsSync(full) ? readdirSync(full) : [])
    .filter((name) => name.endsWith('.cc') && !name.startsWith('isa_'))
    .sort()
    .map((name) => `${folder}/${name}`);
}

/** The translation units of an instruction set; training has one where its f32 arithmetic is its own. */
export function instructionSetSources(name) {
  return [name, `${name}-training`]
    .map((unit) => `native/kernels/isa_${unit}.cc`)
    .filter((path) => existsSync(join(packageFolder, path)));
}

export function instructionSetFlags(name) {
  const flags = Object.values(instructionSets).find((sets) => name in sets)?.[name];
  if (flags === undefined) throw new Error(`no instruction set ${name}`);
  return [...kernelFlags, ...flags];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [question, name] = process.argv.slice(2);
  const answers = {
    addon: () => sourceFolders.flatMap(sources),
    flags: () => (name === undefined ? commonFlags : instructionSetFlags(name)),
    source: () => instructionSetSources(name),
  };
  console.log(answers[question]().join('\n'));
}
