/**
 * Checks every package as users get it: packs it, then publint (entry points, files, formats) and Are The Types Wrong
 * (types resolve for ESM and bundlers); that the licence is in it and tests are not; and that what browsers load imports
 * nothing of Node. Needs a build.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
// The packages are ESM only and say so; what CommonJS `require` or old resolution would see is not promised.
const notPromised = new Set(['node10', 'node16-cjs']);
const problems = [];
// pnpm, because it is what publishes: it replaces `workspace:` ranges and picks files by rules of its own.
const pnpm = findPnpm();
const folder = mkdtempSync(join(tmpdir(), 'rwkv-ts-packed-'));
try {
  for (const name of readdirSync(join(root, 'packages'))) await check(`packages/${name}`);
  await check('apps/cli');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
for (const problem of problems) console.error(problem);
console.log(`packed packages: ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);

function run([command, ...rest], cwd = root) {
  return spawnSync(command, rest, { cwd, encoding: 'utf8', shell: process.platform === 'win32' });
}

/** The pnpm on PATH, or the one that the workspace names, through npx. */
function findPnpm() {
  if (run(['pnpm', '--version']).status === 0) return ['pnpm'];
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return ['npx', '--yes', '--package', packageManager, '--', 'pnpm'];
}

/** What a browser loads of a package imports nothing of Node. */
function checkBrowser(workspace, manifest) {
  for (const [subpath, entry] of Object.entries(manifest.exports)) {
    const file = typeof entry === 'string' ? entry : entry.default;
    // An entry without a default is for Node alone and says so by its condition; one called "./node", by its name.
    if (!file?.endsWith('.js') || subpath === './node') continue;
    const waiting = [join(root, workspace, file)];
    const seen = new Set(waiting);
    for (const path of waiting) {
      const source = readFileSync(path, 'utf8');
      for (const [, imported] of source.matchAll(
        /(?:\bfrom|\bimport|\bimport\()\s*['"]([^'"]+)['"]/g,
      )) {
        if (imported.startsWith('node:') || builtinModules.includes(imported)) {
          problems.push(`${workspace}: ${subpath} imports ${imported} where browsers load it`);
        }
        const next = join(dirname(path), imported);
        if (imported.startsWith('.') && !seen.has(next)) {
          seen.add(next);
          waiting.push(next);
        }
      }
    }
  }
}

/** Refuses a package without the licence (pnpm takes it from the root) and one that carries tests. */
function checkFiles(workspace, contents) {
  const paths = contents
    .listFiles()
    .map((path) => path.replace(`/node_modules/${contents.packageName}/`, ''));
  if (!paths.includes('LICENSE')) problems.push(`${workspace}: no LICENSE in the package`);
  for (const path of paths)
    if (/\.test\./.test(path)) problems.push(`${workspace}: ${path} is in the package`);
}

async function check(workspace) {
  const packageFolder = join(root, workspace);
  const manifest = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
  const packed = run([...pnpm, 'pack', '--json', '--pack-destination', folder], packageFolder);
  if (packed.status !== 0) {
    problems.push(`${workspace}: pnpm pack failed: ${packed.stderr || packed.stdout}`);
    return;
  }
  const tarball = new Uint8Array(readFileSync(JSON.parse(packed.stdout).filename));
  const contents = createPackageFromTarballData(tarball);
  checkFiles(workspace, contents);
  const { messages } = await publint({ strict: true, pack: { tarball: tarball.slice().buffer } });
  for (const message of messages)
    problems.push(`${workspace}: publint: ${formatMessage(message, manifest)}`);
  if (manifest.exports === undefined) return; // a command: nobody imports it
  checkBrowser(workspace, manifest);
  const { problems: typeProblems = [] } = await checkPackage(contents);
  for (const problem of typeProblems) {
    if (notPromised.has(problem.resolutionKind)) continue;
    problems.push(
      `${workspace}: types: ${problem.kind} ${problem.entrypoint ?? ''} ${problem.resolutionKind ?? ''}`,
    );
  }
}
