/**
 * Checks every package as users get it: packs it, then publint (entry points, files, formats) and Are The Types Wrong
 * (types resolve for ESM and bundlers); and that what browsers load imports nothing of Node. Needs a build.
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
const folder = mkdtempSync(join(tmpdir(), 'rwkv-ts-packed-'));
try {
  for (const name of readdirSync(join(root, 'packages'))) await check(name);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
for (const problem of problems) console.error(problem);
console.log(`packed packages: ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);

/** What a browser loads of a package imports nothing of Node. */
function checkBrowser(name, manifest) {
  for (const [subpath, entry] of Object.entries(manifest.exports)) {
    const file = typeof entry === 'string' ? entry : entry.default;
    // An entry without a default is for Node alone and says so by its condition; one called "./node", by its name.
    if (!file?.endsWith('.js') || subpath === './node') continue;
    const waiting = [join(root, 'packages', name, file)];
    const seen = new Set(waiting);
    for (const path of waiting) {
      const source = readFileSync(path, 'utf8');
      for (const [, imported] of source.matchAll(
        /(?:\bfrom|\bimport|\bimport\()\s*['"]([^'"]+)['"]/g,
      )) {
        if (imported.startsWith('node:') || builtinModules.includes(imported)) {
          problems.push(`${name}: ${subpath} imports ${imported} where browsers load it`);
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

async function check(name) {
  const packageFolder = join(root, 'packages', name);
  const manifest = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
  checkBrowser(name, manifest);
  const packed = spawnSync('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: packageFolder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (packed.status !== 0) {
    problems.push(`${name}: npm pack failed: ${packed.stderr}`);
    return;
  }
  const tarball = readFileSync(join(folder, packed.stdout.trim().split('\n').at(-1)));
  const { messages } = await publint({
    strict: true,
    pack: { tarball: new Uint8Array(tarball).buffer },
  });
  for (const message of messages)
    problems.push(`${name}: publint: ${formatMessage(message, manifest)}`);
  const { problems: typeProblems = [] } = await checkPackage(
    createPackageFromTarballData(new Uint8Array(tarball)),
  );
  for (const problem of typeProblems) {
    if (notPromised.has(problem.resolutionKind)) continue;
    problems.push(
      `${name}: types: ${problem.kind} ${problem.entrypoint ?? ''} ${problem.resolutionKind ?? ''}`,
    );
  }
}
