/**
 * What `npm start` and `npm test` do on a fresh clone: install, build, then the job. Plain Node, no dependencies,
 * because nothing is installed when it starts. A tree that is already installed and built goes straight to the job.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const [, wantedMajor] = /^pnpm@(\d+)\./.exec(packageManager) ?? [];
const minimumNode = 20;

const jobs = { start, test };
const [job, ...rest] = process.argv.slice(2);
if (!(job in jobs)) {
  console.error(`usage: node tools/setup/run.mjs <${Object.keys(jobs).join('|')}> [arguments]`);
  process.exit(2);
}
if (Number(process.versions.node.split('.')[0]) < minimumNode) {
  console.error(`rwkv-ts needs Node ${minimumNode} or newer; this is ${process.version}.`);
  process.exit(1);
}
await jobs[job]();

async function start() {
  prepare({ quiet: true });
  const main = join(root, 'apps/cli/dist/main.js');
  // Without a prompt the command shows what it can do; with one it streams text from the bundled model.
  const command = rest.length === 0 ? ['--help'] : ['generate', ...rest];
  process.exit(await run(process.execPath, [main, ...command]));
}

async function test() {
  prepare({ quiet: false });
  process.exit(await run(process.execPath, [join(root, 'tools/setup/test.mjs'), ...rest]));
}

function prepare({ quiet }) {
  if (!isInstalled()) {
    step('Installing dependencies (once; about half a minute) …');
    pnpm(['install', '--frozen-lockfile', ...(quiet ? ['--reporter=silent'] : [])], { quiet });
  }
  if (!isBuilt()) step('Building (once; a minute or two) …');
  pnpm(['build', ...(quiet ? ['--output-logs=errors-only'] : [])], { quiet });
}

function isInstalled() {
  const installed = join(root, 'node_modules/.modules.yaml');
  return (
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(join(root, 'pnpm-lock.yaml')).mtimeMs
  );
}

function isBuilt() {
  return existsSync(join(root, 'apps/cli/dist/main.js'));
}

function step(text) {
  console.error(text);
}

/** pnpm of the major version the workspace names: the one on PATH, or one that npx brings. */
function pnpm(args, { quiet }) {
  const own = spawnSync('pnpm', ['--version'], {
    cwd: root,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  const found = own.status === 0 && own.stdout.trim().split('.')[0] === wantedMajor;
  // npx puts the bin folder on PATH for the child, which turbo needs to find pnpm.
  const [command, prefix] = found
    ? ['pnpm', []]
    : ['npx', ['--yes', '--package', packageManager, '--', 'pnpm']];
  const result = spawnSync(command, [...prefix, ...args], {
    cwd: root,
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (result.status === 0) return;
  if (quiet) process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  console.error(`pnpm ${args.join(' ')} failed${result.error ? `: ${result.error.message}` : ''}.`);
  process.exit(result.status ?? 1);
}

/** Runs the job in this terminal; resolves to its exit code. Ctrl-C reaches the child by itself. */
function run(command, args) {
  return new Promise((resolve) => {
    const ignore = () => {};
    process.on('SIGINT', ignore);
    const child = spawn(command, args, {
      stdio: 'inherit',
      cwd: process.env.INIT_CWD ?? process.cwd(),
    });
    child.on('exit', (code, signal) => {
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
    child.on('error', (error) => {
      console.error(error.message);
      resolve(1);
    });
  });
}
