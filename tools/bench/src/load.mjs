/**
 * Loading a model from disk: seconds and memory, in a process of its own for each measurement.
 *
 *   pnpm build
 *   pnpm --filter @rwkv-ts/bench run load             (--write also writes bench/results/load.md)
 *
 * The models are random ones of RWKV-7 0.1B's shape (tools/fixtures), written into a temporary folder and removed after;
 * `--models FOLDER` keeps them there and takes those that are there already. Files are in the page cache when they are
 * read: the figures are those of our code and of copying, not of a disk.
 *
 * Memory is the process's largest resident size while it loads, less what it had before opening the file. Where the
 * system can start that peak afresh (Linux) the time before is left out, elsewhere it can hide a small one.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const self = fileURLToPath(import.meta.url);
const repository = fileURLToPath(new URL('../../../', import.meta.url));
const layouts = [
  { layout: 'pth', file: 'rwkv7-0.1b.pth' },
  { layout: 'gguf-f16', file: 'rwkv7-0.1b.f16.gguf' },
  { layout: 'gguf-q8_0', file: 'rwkv7-0.1b.q8_0.gguf' },
  { layout: 'gguf-q4_0', file: 'rwkv7-0.1b.q4_0.gguf' },
];
const repeats = 8;
/**
 * What a child does with a file. `-collect`: garbage is collected after every weight, and glibc (where it is the
 * allocator) gives freed arrays back at once, so that only live memory counts.
 */
const tasks = [
  { name: 'stream', runs: 5, what: 'open, then every weight in its own format' },
  { name: 'stream-collect', runs: 1 },
  {
    name: 'convert',
    runs: 3,
    what: 'the same, converted to f32 as for a backend that claims nothing else',
  },
  { name: 'convert-collect', runs: 1 },
  { name: 'upload', runs: 3, what: 'into the reference backend, which keeps every weight as f32' },
  {
    name: 'repeat',
    runs: 3,
    what: `the largest tensor ${repeats} times over, as a model has it whose matrices are all that large`,
  },
];

const { values } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    models: { type: 'string' },
    child: { type: 'string' },
    file: { type: 'string' },
  },
});
if (values.child === undefined) measureAll();
else console.log(JSON.stringify(await load(values.child, values.file)));

/** Largest resident bytes so far, since `startPeak` where that worked. */
function peak() {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
    return Number(kilobytes) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}

function startPeak() {
  globalThis.gc?.();
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Not Linux, or not allowed: the peak since the start of the process is taken.
  }
  return process.memoryUsage.rss();
}

/** Every weight, and what they sum up to. */
async function* counted(weights, totals) {
  for await (const weight of weights) {
    totals.count++;
    totals.largest = Math.max(totals.largest, weight.bytes.length);
    yield weight;
  }
}

async function drain(weights, afterEach) {
  const iterator = weights[Symbol.asyncIterator]();
  while (!(await iterator.next()).done) afterEach();
}

/** @returns the bytes that stay: those of the backend's weights */
async function stream(model, { task, backend, totals }) {
  if (task === 'upload') {
    const claimed = backend.supports.weightFormats;
    const uploaded = await backend.upload(counted(model.weights({ claimed }), totals));
    return uploaded.bytes;
  }
  const options = task.startsWith('convert') ? { claimed: new Set(['f32']) } : {};
  const collect = task.endsWith('-collect') ? globalThis.gc : () => undefined;
  await drain(counted(model.weights(options), totals), collect);
  return 0;
}

/** The same array size again and again; each array is dropped before the next is read. */
async function repeat(file, totals) {
  const tensors = [...file.tensors.values()];
  const largest = tensors.reduce((most, each) => (each.byteLength > most.byteLength ? each : most));
  for (; totals.count < repeats; totals.count++) await largest.read();
  totals.largest = largest.byteLength;
}

async function load(task, path) {
  const [{ openModel, openRawFile }, { fileSource }, { createReferenceBackend }] =
    await Promise.all([
      import('@rwkv-ts/weights'),
      import('@rwkv-ts/weights/node'),
      import('@rwkv-ts/reference'),
    ]);
  const backend = createReferenceBackend();
  const totals = { count: 0, largest: 0 };
  const before = startPeak();
  const start = performance.now();
  const source = await fileSource(path);
  const opened = await (task === 'repeat' ? openRawFile(source) : openModel(source));
  const openEnd = performance.now();
  let kept = 0;
  if (task === 'repeat') await repeat(opened, totals);
  else kept = await stream(opened, { task, backend, totals });
  const end = performance.now();
  const memory = peak() - before;
  await opened[Symbol.asyncDispose]();
  return {
    ...totals,
    kept,
    memory,
    openSeconds: (openEnd - start) / 1000,
    seconds: (end - start) / 1000,
    read: task === 'repeat' ? totals.count * totals.largest : statSync(path).size,
  };
}

function runChild(task, file) {
  const collects = task.endsWith('-collect');
  const flags = collects ? ['--expose-gc'] : [];
  const child = spawnSync(process.execPath, [...flags, self, '--child', task, '--file', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...(collects ? { MALLOC_MMAP_THRESHOLD_: '65536' } : {}) },
  });
  if (child.status !== 0) throw new Error(`${task} of ${basename(file)} failed.`);
  return JSON.parse(child.stdout);
}

function makeModels(folder) {
  const missing = layouts.filter(({ file }) => !existsSync(join(folder, file)));
  if (missing.length === 0) return;
  const flags = missing.flatMap(({ layout }) => ['--layout', layout]);
  const main = join(repository, 'tools/fixtures/dist/main.js');
  const made = spawnSync(process.execPath, [main, folder, '--shape', '0.1b', ...flags], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (made.status !== 0)
    throw new Error('The models could not be written; run `pnpm build` first.');
}

function measureAll() {
  const folder = values.models ?? mkdtempSync(join(tmpdir(), 'rwkv-ts-load-'));
  try {
    makeModels(folder);
    const report = reportOf(layouts.map(({ file }) => measureFile(join(folder, file))));
    console.log(report);
    if (values.write) {
      mkdirSync(join(repository, 'bench/results'), { recursive: true });
      writeFileSync(join(repository, 'bench/results/load.md'), report);
    }
  } finally {
    if (values.models === undefined) rmSync(folder, { recursive: true });
  }
}

/** By task: all runs. The first, which is thrown away, brings the file into the page cache. */
function measureFile(path) {
  runChild('stream', path);
  const results = tasks.map(({ name, runs }) => [
    name,
    Array.from({ length: runs }, () => runChild(name, path)),
  ]);
  return { file: basename(path), results: new Map(results) };
}

function median(numbers) {
  return [...numbers].sort((left, right) => left - right)[numbers.length >> 1];
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(0);
}

function rowsOf({ file, results }) {
  return tasks
    .filter(({ what }) => what !== undefined)
    .map(({ name }) => {
      const runs = results.get(name);
      const seconds = median(runs.map((run) => run.seconds));
      const best = Math.min(...runs.map((run) => run.seconds));
      const memory = median(runs.map((run) => run.memory));
      const live = results.get(`${name}-collect`)?.[0];
      const [{ largest, kept, read }] = runs;
      const cells = [
        `\`${file.replace('rwkv7-0.1b', '')}\``,
        megabytes(read),
        name,
        `**${seconds.toFixed(2)}**`,
        best.toFixed(2),
        (read / 1e6 / seconds).toFixed(0),
        megabytes(largest),
        kept > 0 ? megabytes(kept) : '',
        `**${megabytes(memory)}**`,
        live === undefined ? '' : megabytes(live.memory),
      ];
      return `| ${cells.join(' | ')} |`;
    });
}

function reportOf(files) {
  const opening = files.flatMap(({ results }) =>
    results.get('stream').map((run) => run.openSeconds),
  );
  const busy =
    loadavg()[0] > cpus().length
      ? ' (other programs were in the way: the best times and the memory say more than the medians)'
      : '';
  return `# Loading

${cpus()[0].model.trim()}, ${cpus().length} cores, load average ${loadavg()[0].toFixed(1)}${busy}; Node ${process.version}; ${new Date().toISOString().slice(0, 10)}; \`pnpm --filter @rwkv-ts/bench run load --write\`.

Random RWKV-7 models of the 0.1B shape (12 layers, C 768, F 3072, V 65536; ${files[0].results.get('stream')[0].count} weights). A process for each run, the file in the page cache. Sizes in MB of 10^6 bytes; memory is the largest resident size above that before opening.

${tasks
  .filter(({ what }) => what !== undefined)
  .map(({ name, runs, what }) => `- \`${name}\`: ${what} (${runs} runs).`)
  .join('\n')}

| file | MB read | what | s, median | s, best | MB/s | largest weight | kept | peak memory | of it live |
| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
${files.flatMap(rowsOf).join('\n')}

Opening alone (headers, layout, configuration, all shapes checked): ${(1000 * median(opening)).toFixed(0)} ms in a fresh process.

"Largest weight" is as delivered; "kept" what the backend holds at the end. "Of it live" is the peak when garbage is collected after every weight: the largest weight, or in \`convert\` that weight in both formats, and a few MB of program. The rest are arrays that were dropped and that the engine has not collected yet: how many it lets pile up is its own affair, and \`repeat\` shows about the worst.
`;
}
