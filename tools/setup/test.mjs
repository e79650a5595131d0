/**
 * All tests: types, lint, format, structure, then vitest. Prints `N passed, M failed` as its last line; a check that fails counts
 * as one failed test, so that the line never hides it.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const bin = (name) => join(root, 'node_modules/.bin', name);
const checks = [
  ['types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json']],
  ['lint', bin('eslint'), ['.']],
  ['format', bin('prettier'), ['--check', '--log-level', 'warn', '.']],
  ['structure', process.execPath, ['tools/structure-check/check.mjs']],
  ['packed packages', process.execPath, ['tools/structure-check/packed.mjs']],
];
// `npm test -- some/path` runs only those tests.
const filters = process.argv.slice(2);
let [passed, failed, skipped] = [0, 0, 0];

for (const [name, command, args] of filters.length > 0 ? [] : checks) {
  const { status } = run(command, args);
  console.log(`${status === 0 ? 'ok' : 'FAILED'}: ${name}`);
  if (status === 0) passed++;
  else failed++;
}

const folder = mkdtempSync(join(tmpdir(), 'rwkv-ts-test-'));
const report = join(folder, 'vitest.json');
const vitest = run(bin('vitest'), [
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...filters,
]);
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  passed += result.numPassedTests;
  failed += result.numFailedTests;
  skipped += result.numPendingTests + result.numTodoTests;
  // A file that could not be loaded, or an error outside any test, has no failed test of its own.
  if (vitest.status !== 0 && result.numFailedTests === 0) failed++;
} catch (error) {
  console.error(`vitest left no report: ${error.message}`);
  failed++;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

function run(command, args) {
  return spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
}
