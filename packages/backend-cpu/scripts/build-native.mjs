/**
 * Builds the addon with node-gyp into prebuilds/<platform>/rwkv_cpu.node, where src/load-native.ts looks first.
 * Does nothing where that file was made of exactly these sources. Quiet unless it fails.
 *
 *   node scripts/build-native.mjs [--force] [--verbose] [--platform linux-arm64-gnu]
 *
 * `--platform` cross-compiles: give the compiler too, CXX=aarch64-linux-gnu-g++ for example. Without a compiler a build
 * prints one line and succeeds, because the rest of the repository works without it; with CI=true it fails.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  instructionSetFlags,
  instructionSets,
  packageFolder,
  sourceFolders,
} from './native-sources.mjs';
import { buildTools, platformName } from './platform.mjs';

const require = createRequire(import.meta.url);

const releaseFolder = join(packageFolder, 'build/Release');
const stampName = 'rwkv_cpu.sources';

/** Thrown where this machine cannot build; the message is one line for people. */
export class CannotBuild extends Error {}

/** @returns {{ path: string, built: boolean, seconds: number }} */
export function buildNative({ platform = platformName(), force = false, verbose = false } = {}) {
  const started = performance.now();
  const compiler = process.platform === 'win32' ? {} : findTools(platform.split('-')[1]);
  return withLock(() => {
    const folder = join(packageFolder, 'prebuilds', platform);
    const path = join(folder, 'rwkv_cpu.node');
    const stamp = `${platform} ${sourcesHash(compiler)}`;
    if (!force && existsSync(path) && readStamp(folder) === stamp) {
      return { path, built: false, seconds: 0 };
    }
    // What node-gyp leaves behind is of this platform and these sources only once it has finished.
    rmSync(join(releaseFolder, stampName), { force: true });
    runNodeGyp({ platform, verbose, environment: compiler });
    writeFileSync(join(releaseFolder, stampName), stamp);
    mkdirSync(folder, { recursive: true });
    // Renamed into place: a process that has the old file mapped keeps it whole.
    const fresh = `${path}.new`;
    copyFileSync(join(releaseFolder, 'rwkv_cpu.node'), fresh);
    renameSync(fresh, path);
    writeFileSync(join(folder, stampName), stamp);
    return { path, built: true, seconds: (performance.now() - started) / 1000 };
  });
}

/** The object files of the engine and the kernels in this machine's addon, built now where they are not current. */
export function addonObjects() {
  const platform = platformName();
  const { path } = buildNative({ platform });
  if (readStamp(releaseFolder) !== readStamp(dirname(path))) buildNative({ platform, force: true });
  const objects = join(releaseFolder, 'obj.target');
  return readdirSync(objects, { recursive: true })
    .filter((name) => /native\/(?:engine|kernels)\/[^/]+\.o$/.test(name))
    .sort()
    .map((name) => join(objects, name));
}

function readStamp(folder) {
  const path = join(folder, stampName);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** One build at a time: tests and builds may be started side by side. */
function withLock(work) {
  const lock = join(packageFolder, 'build/native.lock');
  const own = String(process.pid);
  mkdirSync(dirname(lock), { recursive: true });
  for (let waited = 0; ; waited++) {
    try {
      writeFileSync(lock, own, { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    // Read twice: it is empty for a moment when it has just been made.
    const holder = readHolder(lock) ?? (pause(), readHolder(lock));
    if (holder === undefined || !lives(holder)) rmSync(lock, { force: true });
    else {
      if (waited === 5) console.warn(`waiting for the native build of process ${holder} (${lock})`);
      pause();
    }
  }
  try {
    return work();
  } finally {
    // Whoever found this process gone has the lock by now.
    if (readHolder(lock) === process.pid) rmSync(lock, { force: true });
  }
}

function pause() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
}

/** Undefined where the file has just gone, or holds no number. */
function readHolder(lock) {
  try {
    return Number(readFileSync(lock, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

function lives(holder) {
  try {
    process.kill(holder, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** CC, CXX and PYTHON for node-gyp, which would look for g++ alone. */
function findTools(arch) {
  const works = (command) => spawnSync(command, ['--version'], { encoding: 'utf8' }).status === 0;
  const first = (commands) =>
    commands.find((command) => command !== undefined && works(command.split(' ')[0]));
  const missing = [];
  const pairs = [
    ['g++', 'gcc'],
    ['clang++', 'clang'],
    ['c++', 'cc'],
  ];
  const named = process.env.CXX;
  const found =
    named === undefined ? pairs.find(([command]) => works(command)) : [named, undefined];
  if (found === undefined || first([found[0]]) === undefined)
    missing.push(named ?? 'a C++ compiler');
  const make = first([process.env.MAKE, 'make', 'gmake']);
  if (make === undefined) missing.push('make');
  const python = first([process.env.npm_config_python, process.env.PYTHON, 'python3', 'python']);
  if (python === undefined) missing.push('Python 3');
  if (missing.length > 0) {
    throw new CannotBuild(
      `${new Intl.ListFormat('en').format(missing)} not found; install ${buildTools()}`,
    );
  }
  const [cxx, cc] = found;
  const unknown = instructionSetsUnknownTo(cxx, arch);
  if (unknown.length > 0) {
    throw new CannotBuild(
      `${cxx} is too old for ${unknown.join(', ')}; g++ 11 and clang 14 know them`,
    );
  }
  // A cross-compiler brings its own archiver: aarch64-linux-gnu-g++ has aarch64-linux-gnu-ar.
  const archiver = /^(.*-)(?:g|c|clang)\+\+$/.exec(cxx)?.[1]?.concat('ar');
  return {
    CXX: cxx,
    CC: process.env.CC ?? cc ?? cxx,
    PYTHON: python,
    // gyp links with it; the C compiler would leave out the C++ library.
    LINK: process.env.LINK ?? cxx,
    ...(archiver !== undefined && works(archiver) ? { AR: process.env.AR ?? archiver } : {}),
  };
}

function instructionSetsUnknownTo(compiler, arch) {
  const [command, ...options] = compiler.split(' ');
  const compiles = (flags) =>
    spawnSync(command, [...options, ...flags, '-std=c++17', '-fsyntax-only', '-x', 'c++', '-'], {
      input: '',
    }).status === 0;
  return Object.keys(instructionSets[arch] ?? {}).filter(
    (name) => !compiles(instructionSetFlags(name)),
  );
}

/** Everything the addon is made of: files, the compiler and its flags. */
function sourcesHash({ CXX }) {
  const hash = createHash('sha256');
  const add = (name, content) => hash.update(`${name}\0${content.length}\0`).update(content);
  for (const folder of [...sourceFolders, 'native']) {
    const recursive = folder !== 'native';
    for (const name of readdirSync(join(packageFolder, folder), { recursive }).sort()) {
      if (/\.(?:cc|h|gypi|map)$/.test(name))
        add(name, readFileSync(join(packageFolder, folder, name)));
    }
  }
  for (const name of ['binding.gyp', 'scripts/native-sources.mjs']) {
    add(name, readFileSync(join(packageFolder, name)));
  }
  add('version', require('../package.json').version);
  add('node-addon-api', require('node-addon-api').version);
  for (const name of ['CXXFLAGS', 'CPPFLAGS', 'LDFLAGS']) add(name, process.env[name] ?? '');
  if (CXX !== undefined) {
    const [command, ...rest] = CXX.split(' ');
    add('compiler', spawnSync(command, [...rest, '--version'], { encoding: 'utf8' }).stdout);
  }
  return hash.digest('hex');
}

function runNodeGyp({ platform, verbose, environment }) {
  const [command, prefix] = findNodeGyp();
  const nodeFolder = headersFolder();
  const options = [
    `--arch=${platform.split('-')[1]}`,
    `--jobs=${availableParallelism()}`,
    ...(nodeFolder === undefined ? [] : [`--nodedir=${nodeFolder}`]),
  ];
  const result = spawnSync(
    command,
    [...prefix, 'configure', 'build', ...options, verbose ? '--verbose' : '--loglevel=error'],
    {
      cwd: packageFolder,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: verbose ? 'inherit' : ['ignore', 'pipe', 'pipe'],
      shell: command === 'node-gyp' && process.platform === 'win32',
      // binding.gyp calls `node`, which is this one whatever PATH says.
      env: {
        ...process.env,
        ...environment,
        PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
      },
    },
  );
  if (result.status === 0) return;
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`;
  // Configuring fails where Python, Visual Studio or Node's headers cannot be had; what fails later is our mistake.
  if (/^gyp ERR! configure error/m.test(output)) {
    const [, reason] = /^gyp ERR! stack (?:\w*Error: )?(.+)$/m.exec(output) ?? [];
    throw new CannotBuild(
      `${reason ?? 'node-gyp cannot configure'} (--verbose tells more); it needs ${buildTools()}`,
    );
  }
  throw Object.assign(new Error('the native build failed'), { output });
}

/** This package's node-gyp in the repository; on a user's machine the one that comes with every package manager. */
function findNodeGyp() {
  const node = process.execPath;
  const besideNode = [
    join(dirname(node), 'node_modules'),
    join(dirname(realpathSync(node)), '../lib/node_modules'),
    join(dirname(node), '../lib/node_modules'),
    join(dirname(node), '../share/nodejs'),
  ].map((modules) => join(modules, 'npm/node_modules/node-gyp/bin/node-gyp.js'));
  const own = () => {
    try {
      return join(dirname(require.resolve('node-gyp/package.json')), 'bin/node-gyp.js');
    } catch {
      return undefined;
    }
  };
  for (const script of [own(), process.env.npm_config_node_gyp, ...besideNode]) {
    if (script !== undefined && existsSync(script)) return [node, [script]];
  }
  const { status } = spawnSync('node-gyp', ['--version'], { shell: process.platform === 'win32' });
  if (status === 0) return ['node-gyp', []];
  throw new CannotBuild(
    'node-gyp not found; install npm, which brings it, or: npm install --global node-gyp',
  );
}

/** Where the running Node brings its headers along; otherwise node-gyp downloads them. */
function headersFolder() {
  if (process.env.npm_config_nodedir !== undefined) return process.env.npm_config_nodedir;
  return [process.execPath, realpathSync(process.execPath)]
    .map((node) => join(dirname(node), '..'))
    .find((prefix) => existsSync(join(prefix, 'include/node/node_api.h')));
}

function main() {
  const { values } = parseArgs({
    options: {
      force: { type: 'boolean' },
      platform: { type: 'string' },
      verbose: { type: 'boolean' },
    },
  });
  if (process.env.RWKV_TS_SKIP_NATIVE_BUILD === '1') {
    console.log('backend-cpu: native build skipped, because RWKV_TS_SKIP_NATIVE_BUILD=1.');
    return 0;
  }
  try {
    const { path, built, seconds } = buildNative(values);
    const name = `${basename(dirname(path))}/${basename(path)}`;
    console.log(built ? `built ${name} in ${seconds.toFixed(0)} s` : `${name} is up to date`);
    return 0;
  } catch (error) {
    if (error instanceof CannotBuild) {
      console.warn(
        `backend-cpu: the native backend is not built, and programs fall back: ${error.message}.`,
      );
      return process.env.CI === 'true' ? 1 : 0;
    }
    if (error.output) console.error(error.output);
    console.error(`backend-cpu: ${error.message}.`);
    return 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(main());
