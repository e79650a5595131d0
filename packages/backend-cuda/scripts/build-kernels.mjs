/**
 * Compiles the kernels with nvcc into prebuilds/kernels/<unit>.fatbin: machine code for every architecture from sm_75 to
 * sm_120, and PTX of the newest for those to come. They are the same on every platform. Compiles what changed.
 *
 *   node scripts/build-kernels.mjs [--architectures 90] [--report]
 *
 * `--report` prints, for each kernel and architecture, registers and what spills to local memory, and fails where a kernel
 * spills. Without nvcc it prints one line and succeeds, because the rest of the repository works without it; NVCC names
 * another one.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, inParallel } from './compile.mjs';
import { kernelSources, nativeFolder } from './emulation.mjs';

export const architectures = ['75', '80', '86', '89', '90', '100', '120'];

const outputFolder = join(nativeFolder, '../prebuilds/kernels');
const logFolder = join(nativeFolder, '../build');

/** The compiler; undefined where there is none. */
export function findCompiler() {
  const candidates = [process.env.NVCC, 'nvcc', '/usr/local/cuda/bin/nvcc'];
  return candidates.find(
    (each) =>
      each !== undefined && spawnSync(each, ['--version'], { stdio: 'ignore' }).status === 0,
  );
}

const flags = [
  '-std=c++17',
  '-O3',
  '-I.',
  '--fatbin',
  '-Xfatbin',
  '-compress-all',
  '-Xptxas',
  '-v',
];
const codeFor = (names) => [
  ...names.flatMap((name) => ['-gencode', `arch=compute_${name},code=sm_${name}`]),
  ...(names.length === architectures.length
    ? ['-gencode', `arch=compute_${names.at(-1)},code=compute_${names.at(-1)}`]
    : []),
];

/** @returns {Promise<string[]>} what the assembler said of each unit, in files */
export function buildKernels({ compiler, names = architectures }) {
  return inParallel(kernelSources(), async (source) => {
    const unit = basename(source, '.cu');
    const log = join(logFolder, `${unit}.ptxas`);
    await compile({
      folder: nativeFolder,
      command: [compiler, ...flags, ...codeFor(names), source],
      output: join(outputFolder, `${unit}.fatbin`),
      dependencies: true,
      log,
    });
    return log;
  });
}

/** Kernel, architecture, registers, bytes spilled and of stack, of what `ptxas -v` said. */
export function readReport(said) {
  const rows = [];
  let current;
  for (const line of said.split('\n')) {
    const entry = /Compiling entry function '(\w+)' for 'sm_(\w+)'/.exec(line);
    if (entry) current = { kernel: entry[1], architecture: entry[2] };
    const spills = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/;
    const stack = spills.exec(line);
    if (stack && current) {
      current.stack = Number(stack[1]);
      current.spilled = Number(stack[2]) + Number(stack[3]);
    }
    const used = /Used (\d+) registers/.exec(line);
    if (used && current) {
      rows.push({ ...current, registers: Number(used[1]) });
      current = undefined;
    }
  }
  return rows;
}

function report(logs, names) {
  const rows = readReport(logs.map((log) => readFileSync(log, 'utf8')).join('\n'));
  const byKernel = new Map();
  for (const row of rows) byKernel.set(row.kernel, [...(byKernel.get(row.kernel) ?? []), row]);
  for (const [kernel, own] of byKernel) {
    const each = own.map(({ architecture, registers, spilled, stack }) =>
      [`sm_${architecture} ${registers}`, spilled && `spills ${spilled}`, stack && `stack ${stack}`]
        .filter(Boolean)
        .join(' '),
    );
    console.log(`${kernel}: ${each.join(', ')}`);
  }
  const spilling = rows.filter(({ spilled }) => spilled > 0);
  console.log(
    `${byKernel.size} kernels for ${names.length} architectures, ${spilling.length} of ${rows.length} spill.`,
  );
  return spilling.length === 0 ? 0 : 1;
}

async function main() {
  const { values } = parseArgs({
    options: { architectures: { type: 'string' }, report: { type: 'boolean' } },
  });
  const compiler = findCompiler();
  if (compiler === undefined) {
    console.warn('backend-cuda: the kernels are not built, because there is no nvcc.');
    return 0;
  }
  if (process.env.RWKV_TS_SKIP_NATIVE_BUILD === '1') {
    console.log('backend-cuda: kernels skipped, because RWKV_TS_SKIP_NATIVE_BUILD=1.');
    return 0;
  }
  const names = values.architectures?.split(',') ?? architectures;
  mkdirSync(logFolder, { recursive: true });
  try {
    const logs = await buildKernels({ compiler, names });
    if (values.report) return report(logs, names);
    console.log(`kernels: ${logs.length} files for sm_${names.join(', sm_')}`);
    return 0;
  } catch (error) {
    console.error(error.output ?? '', error.message);
    return 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
