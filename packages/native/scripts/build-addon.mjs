/**
 * Builds a package's addon with node-gyp into prebuilds/<platform>/, where findAddon looks first. Does nothing where that
 * file was made of exactly these sources. Quiet unless it fails.
 *
 * A plain module, because it runs before anything of the repository is built, and on users' machines.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withLock } from './lock.mjs';
import { CannotBuild, findTools, runNodeGyp } from './node-gyp.mjs';
import { platformName } from './platform.mjs';

export { CannotBuild };

const require = createRequire(import.meta.url);
const ownFolder = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Described in build-addon.d.mts. */
export function buildAddon(
  addon,
  { platform = platformName(), force = false, verbose = false } = {},
) {
  const { packageFolder, fileName, refuse } = addon;
  const started = performance.now();
  const environment = findTools(platform.split('-')[1], { refuse });
  return withLock(join(packageFolder, 'build/native.lock'), () => {
    const folder = join(packageFolder, 'prebuilds', platform);
    const path = join(folder, fileName);
    const stamp = `${platform} ${sourcesHash(addon, environment)}`;
    if (!force && existsSync(path) && readStamp(addon, folder) === stamp) {
      return { path, built: false, seconds: 0 };
    }
    const release = releaseFolder(addon);
    // What node-gyp leaves behind is of this platform and these sources only once it has finished.
    rmSync(join(release, stampName(addon)), { force: true });
    runNodeGyp({ packageFolder, platform, verbose, environment });
    writeFileSync(join(release, stampName(addon)), stamp);
    mkdirSync(folder, { recursive: true });
    // Renamed into place: a process that has the old file mapped keeps it whole.
    const fresh = `${path}.new`;
    copyFileSync(join(release, fileName), fresh);
    renameSync(fresh, path);
    writeFileSync(join(folder, stampName(addon)), stamp);
    return { path, built: true, seconds: (performance.now() - started) / 1000 };
  });
}

export function addonObjects(addon, pattern) {
  const platform = platformName();
  const { path } = buildAddon(addon, { platform });
  if (readStamp(addon, releaseFolder(addon)) !== readStamp(addon, dirname(path))) {
    buildAddon(addon, { platform, force: true });
  }
  const objects = join(releaseFolder(addon), 'obj.target');
  return readdirSync(objects, { recursive: true })
    .filter((name) => name.endsWith('.o') && pattern.test(name))
    .sort()
    .map((name) => join(objects, name));
}

const releaseFolder = ({ packageFolder }) => join(packageFolder, 'build/Release');
const stampName = ({ fileName }) => fileName.replace(/\.node$/, '.sources');

function readStamp(addon, folder) {
  const path = join(folder, stampName(addon));
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** Everything the addon is made of: files, the compiler and its flags. */
function sourcesHash({ packageFolder, sources }, { CXX }) {
  const hash = createHash('sha256');
  const add = (name, content) => hash.update(`${name}\0${content.length}\0`).update(content);
  const addFiles = (root, names) => {
    for (const name of names.flatMap((each) => filesIn(root, each)))
      add(name, readFileSync(join(root, name)));
  };
  addFiles(packageFolder, ['binding.gyp', ...sources]);
  addFiles(ownFolder, ['include', 'exports.map']);
  add('version', JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')).version);
  add('node-addon-api', require('node-addon-api').version);
  for (const name of ['CXXFLAGS', 'CPPFLAGS', 'LDFLAGS']) add(name, process.env[name] ?? '');
  if (CXX !== undefined) {
    const [command, ...rest] = CXX.split(' ');
    add('compiler', spawnSync(command, [...rest, '--version'], { encoding: 'utf8' }).stdout);
  }
  return hash.digest('hex');
}

/** A file, or all files of a folder and its folders. */
function filesIn(root, name) {
  if (!statSync(join(root, name)).isDirectory()) return [name];
  return readdirSync(join(root, name))
    .sort()
    .flatMap((each) => filesIn(root, `${name}/${each}`));
}

export function buildCommand(addon) {
  const name = addon.packageName.split('/').at(-1);
  const { values } = parseArgs({
    options: {
      force: { type: 'boolean' },
      platform: { type: 'string' },
      verbose: { type: 'boolean' },
    },
  });
  if (process.env.RWKV_TS_SKIP_NATIVE_BUILD === '1') {
    console.log(`${name}: native build skipped, because RWKV_TS_SKIP_NATIVE_BUILD=1.`);
    return 0;
  }
  try {
    const { path, built, seconds } = buildAddon(addon, values);
    const file = `${basename(dirname(path))}/${basename(path)}`;
    console.log(built ? `built ${file} in ${seconds.toFixed(0)} s` : `${file} is up to date`);
    return 0;
  } catch (error) {
    if (error instanceof CannotBuild) {
      console.warn(
        `${name}: the ${addon.title} is not built, and programs fall back: ${error.message}.`,
      );
      return process.env.CI === 'true' ? 1 : 0;
    }
    if (error.output) console.error(error.output);
    console.error(`${name}: ${error.message}.`);
    return 1;
  }
}
