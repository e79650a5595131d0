/**
 * Holds the shape of the tree. Every rule here is one that a stranger relies on to find their way:
 * each package has a README, an index and tests; an op kind has one file of its name everywhere; imports point one way;
 * a long file says at its top why it is long.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allowedImports } from './layers.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const longFile = 400;
const problems = [];
const read = (path) => readFileSync(join(root, path), 'utf8');
const folders = (path) =>
  existsSync(join(root, path))
    ? readdirSync(join(root, path), { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules')
        .map((entry) => `${path}/${entry.name}`)
    : [];
const workspaces = [...folders('packages'), ...folders('apps'), ...folders('tools')];

for (const workspace of workspaces) checkWorkspace(workspace);
for (const workspace of folders('packages')) checkImports(workspace);
checkOpStems();
for (const workspace of workspaces) checkLongFiles(workspace);

for (const problem of problems) console.error(problem);
console.log(`structure: ${workspaces.length} workspaces, ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);

function checkWorkspace(workspace) {
  if (!existsSync(join(root, workspace, 'package.json'))) {
    problems.push(`${workspace}: no package.json`);
    return;
  }
  const manifest = JSON.parse(read(`${workspace}/package.json`));
  if (!manifest.name?.startsWith('@rwkv-ts/'))
    problems.push(`${workspace}: name must be @rwkv-ts/…`);
  for (const field of ['description', 'license', 'type']) {
    if (!manifest[field]) problems.push(`${workspace}/package.json: no ${field}`);
  }
  if (!workspace.startsWith('tools/')) {
    const readme = join(root, workspace, 'README.md');
    if (!existsSync(readme)) problems.push(`${workspace}: no README.md`);
    else if (!readFileSync(readme, 'utf8').includes(manifest.name)) {
      problems.push(`${workspace}/README.md: does not name ${manifest.name}`);
    }
    const sources = [...files(`${workspace}/src`), ...files(`${workspace}/test`)];
    if (!sources.some((file) => file.endsWith('.test.ts'))) problems.push(`${workspace}: no tests`);
  }
  if (workspace.startsWith('packages/')) {
    if (!existsSync(join(root, workspace, 'src/index.ts')))
      problems.push(`${workspace}: no src/index.ts`);
    if (manifest.private) problems.push(`${workspace}: packages are published, so not private`);
    for (const field of ['exports', 'files', 'engines', 'sideEffects']) {
      if (manifest[field] === undefined) problems.push(`${workspace}/package.json: no ${field}`);
    }
  }
}

/** Imports stay within layers.mjs, and what is imported is declared. */
function checkImports(workspace) {
  const name = workspace.slice('packages/'.length);
  const allowed = allowedImports[name];
  if (!allowed) {
    problems.push(`${workspace}: not in tools/structure-check/layers.mjs`);
    return;
  }
  const manifest = JSON.parse(read(`${workspace}/package.json`));
  for (const dependency of Object.keys(manifest.dependencies ?? {})) {
    const own = /^@rwkv-ts\/(.+)$/.exec(dependency)?.[1];
    if (own && !allowed.includes(own))
      problems.push(`${workspace}: may not depend on ${dependency}`);
  }
  for (const file of [...files(`${workspace}/src`), ...files(`${workspace}/conformance`)]) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    for (const [, imported] of withoutComments(read(file)).matchAll(
      /(?:from|import\()\s*'([^'.][^']*)'/g,
    )) {
      if (imported.startsWith('node:')) continue;
      const packageName = imported
        .split('/')
        .slice(0, imported.startsWith('@') ? 2 : 1)
        .join('/');
      if (packageName === manifest.name) continue;
      const declared = {
        ...manifest.dependencies,
        ...manifest.peerDependencies,
        ...manifest.optionalDependencies,
      };
      if (!declared[packageName])
        problems.push(`${file}: imports ${packageName}, which ${workspace} does not declare`);
    }
  }
}

/** `ls packages/*\/**\/wkv7.*` is the op's whole story. */
function checkOpStems() {
  const source = read('packages/backend/src/program.ts');
  const kinds = [...source.matchAll(/readonly kind: '([a-z0-9-]+)'/g)].map((match) => match[1]);
  const coarseStart = source.indexOf('Coarse kinds');
  if (kinds.length === 0 || coarseStart < 0)
    problems.push('packages/backend/src/program.ts: found no op kinds');
  for (const kind of kinds) {
    const coarse = source.indexOf(`readonly kind: '${kind}'`) > coarseStart;
    const places = [
      coarse ? `packages/program/src/lower/${kind}.ts` : `packages/reference/src/ops/${kind}.ts`,
      `packages/backend-kit/conformance/cases/${kind}.ts`,
    ];
    for (const place of places) {
      if (!existsSync(join(root, place))) problems.push(`op ${kind}: no ${place}`);
    }
  }
}

function checkLongFiles(workspace) {
  for (const file of files(workspace)) {
    if (!/\.(ts|mjs|tsx|cc|cu|h|wgsl)$/.test(file)) continue;
    const text = read(file);
    const lines = text.split('\n').length;
    if (lines > longFile && !/Over 400 lines because/.test(text.slice(0, 1500))) {
      problems.push(`${file}: ${lines} lines and no "Over 400 lines because …" at its top`);
    }
  }
}

/** Examples in comments import what their readers have. */
function withoutComments(source) {
  return source.replace(/\/\*[^]*?\*\//g, '');
}

function files(path) {
  const full = join(root, path);
  if (!existsSync(full)) return [];
  return readdirSync(full, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => !/(^|\/)(node_modules|dist|\.turbo)\//.test(file));
}
