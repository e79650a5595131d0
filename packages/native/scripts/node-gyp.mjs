/** node-gyp and what it needs on this machine: found, or reported missing in one line for people. */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { buildTools } from './platform.mjs';

/** Thrown where this machine cannot build; the message is one line for people. */
export class CannotBuild extends Error {}

/**
 * The environment for node-gyp, which would look for g++ alone: CC, CXX, LINK, PYTHON. `refuse` may say what is wrong with
 * the compiler, in words.
 */
export function findTools(arch, { refuse = () => undefined } = {}) {
  if (process.platform === 'win32') return {};
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
  const problem = refuse({ compiler: cxx, arch, compiles: (flags) => compiles(cxx, flags) });
  if (problem !== undefined) throw new CannotBuild(problem);
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

/** Whether the compiler knows the flags. */
function compiles(compiler, flags) {
  const [command, ...options] = compiler.split(' ');
  const { status } = spawnSync(
    command,
    [...options, ...flags, '-std=c++17', '-fsyntax-only', '-x', 'c++', '-'],
    { input: '' },
  );
  return status === 0;
}

export function runNodeGyp({ packageFolder, platform, verbose, environment }) {
  const [command, prefix] = findNodeGyp(packageFolder);
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

/** The package's node-gyp in the repository; on a user's machine the one that comes with every package manager. */
function findNodeGyp(packageFolder) {
  const node = process.execPath;
  const besideNode = [
    join(dirname(node), 'node_modules'),
    join(dirname(realpathSync(node)), '../lib/node_modules'),
    join(dirname(node), '../lib/node_modules'),
    join(dirname(node), '../share/nodejs'),
  ].map((modules) => join(modules, 'npm/node_modules/node-gyp/bin/node-gyp.js'));
  const own = () => {
    try {
      const require = createRequire(join(packageFolder, 'package.json'));
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
