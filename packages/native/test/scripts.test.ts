/** Building, installing and packing an addon. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { exportsMap, includeFolders } from '@rwkv-ts/native/gyp';
import { type AddonBuild, buildAddon, CannotBuild } from '../scripts/build-addon.mjs';
import { installAddon } from '../scripts/install-addon.mjs';
import { withLock } from '../scripts/lock.mjs';
import { pack, wire } from '../scripts/platform-packages.mjs';
import { platformName, platforms } from '../src/index.js';
import { build, description, loadTestAddon, version } from './test-addon.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'native-'));
  return () => {
    rmSync(folder, { recursive: true });
  };
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

test('binding.gyp gets folders with the headers, and the exports', () => {
  const folders = [...includeFolders.matchAll(/"([^"]+)"/g)].map(([, path]) => path!);
  for (const header of ['rwkv/addon/queue-handle.h', 'napi.h']) {
    expect(folders.some((path) => existsSync(join(path, header)))).toBe(true);
  }
  expect(readFileSync(exportsMap, 'utf8')).toContain('napi_register_module_v1');
});

describe.skipIf(loadTestAddon() === undefined)('a build', () => {
  let addon: AddonBuild;
  /** In the place of node-gyp: only whether it is asked matters here. */
  const playNodeGyp = (program: string) => {
    const modules = join(folder, 'node_modules/node-gyp');
    mkdirSync(join(modules, 'bin'), { recursive: true });
    writeFileSync(join(modules, 'package.json'), '{}');
    writeFileSync(join(modules, 'bin/node-gyp.js'), program);
  };
  const succeed = `
    require('node:fs').mkdirSync('build/Release', { recursive: true });
    require('node:fs').writeFileSync('build/Release/rwkv_test.node', process.argv.slice(2).join(' '));
  `;
  beforeEach(() => {
    addon = { ...build, packageFolder: folder };
    for (const name of ['addon.cc', 'binding.gyp', 'package.json']) {
      cpSync(join(build.packageFolder, name), join(folder, name));
    }
    playNodeGyp(succeed);
    expect(buildAddon(addon)).toMatchObject({ built: true });
  });

  test('is left as it is while its sources are the same', () => {
    const path = join(folder, 'prebuilds', platformName(), 'rwkv_test.node');
    expect(readFileSync(path, 'utf8')).toContain(`configure build --arch=${process.arch}`);
    expect(buildAddon(addon)).toEqual({ path, built: false, seconds: 0 });
  });

  test('is made anew for a change of its sources, of their list, and when told to', () => {
    const more = { ...addon, sources: ['addon.cc', 'more'] };
    mkdirSync(join(folder, 'more/deeper'), { recursive: true });
    writeFileSync(join(folder, 'more/deeper/some.h'), '1');
    expect(buildAddon(more)).toMatchObject({ built: true });
    expect(buildAddon(more)).toMatchObject({ built: false });
    writeFileSync(join(folder, 'more/deeper/some.h'), '2');
    expect(buildAddon(more)).toMatchObject({ built: true });
    expect(buildAddon(more, { force: true })).toMatchObject({ built: true });
  });

  test('is made anew for other flags and for another platform', () => {
    vi.stubEnv('CXXFLAGS', '-DOTHER');
    expect(buildAddon(addon)).toMatchObject({ built: true });
    const there = buildAddon(addon, { platform: 'freebsd-x64' });
    expect(there.path).toBe(join(folder, 'prebuilds/freebsd-x64/rwkv_test.node'));
    expect(there.built).toBe(true);
  });

  test.skipIf(process.platform === 'win32')('is refused for a compiler that is too old', () => {
    let known: boolean[] = [];
    const refuse: AddonBuild['refuse'] = ({ compiler, arch, compiles }) => {
      known = [compiles(['-Wall']), compiles(['-fno-such-flag-anywhere'])];
      return `${compiler === '' ? 'none' : 'it'} is too old for ${arch}`;
    };
    const attempt = () => buildAddon({ ...addon, refuse });
    expect(attempt).toThrow(CannotBuild);
    expect(attempt).toThrow(`it is too old for ${process.arch}`);
    expect(known).toEqual([true, false]);
  });

  test('that cannot be configured says why in one line', () => {
    playNodeGyp(`
      console.error('gyp ERR! configure error \\ngyp ERR! stack Error: no headers\\ngyp ERR! more');
      process.exit(1);
    `);
    const attempt = () => buildAddon(addon, { force: true });
    expect(attempt).toThrow(CannotBuild);
    expect(attempt).toThrow(/^no headers \(--verbose tells more\); it needs .+$/);
  });

  test('that fails has what was said, and is tried again', () => {
    playNodeGyp("console.error('addon.cc:1: error'); process.exit(1)");
    const changed = { ...addon, sources: ['addon.cc', 'package.json'] };
    const output: unknown = expect.stringContaining('addon.cc:1: error');
    expect(() => buildAddon(changed)).toThrow(expect.objectContaining({ output }));
    playNodeGyp(succeed);
    expect(buildAddon(changed)).toMatchObject({ built: true });
  });
});

describe.skipIf(process.platform === 'win32')('the build script', () => {
  const script = new URL('../scripts/build-addon.mjs', import.meta.url).href;
  const run = (environment: Record<string, string>) => {
    const source = `
      import { buildCommand } from ${JSON.stringify(script)};
      process.exit(buildCommand(${JSON.stringify({ ...build, packageFolder: folder })}));
    `;
    const env = { ...process.env, CXX: 'no-compiler', CI: '', RWKV_TS_SKIP_NATIVE_BUILD: '' };
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', source],
      { encoding: 'utf8', env: { ...env, ...environment } },
    );
    return { status, said: stdout + stderr };
  };

  test('says in one line that nothing can be built, and succeeds but in the CI', () => {
    const { status, said } = run({});
    expect(said).toMatch(
      /^backend-test: the native test backend is not built, and programs fall back: no-compiler .+\.\n$/,
    );
    expect(status).toBe(0);
    expect(run({ CI: 'true' }).status).toBe(1);
  });

  test('does nothing where it is told so', () => {
    const { status, said } = run({ RWKV_TS_SKIP_NATIVE_BUILD: '1', CI: 'true' });
    expect(said).toContain('native build skipped');
    expect(status).toBe(0);
  });
});

describe('a lock', () => {
  test('is held during the work and gone afterwards', () => {
    const path = join(folder, 'a/lock');
    expect(withLock(path, () => readFileSync(path, 'utf8'))).toBe(String(process.pid));
    expect(existsSync(path)).toBe(false);
    const failing = () =>
      withLock(path, () => {
        throw new Error('work');
      });
    expect(failing).toThrow('work');
    expect(existsSync(path)).toBe(false);
  });

  test('of a process that is gone, or of none, is taken over', () => {
    const path = join(folder, 'lock');
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    for (const left of [String(pid), '', 'nonsense']) {
      writeFileSync(path, left);
      expect(withLock(path, () => 'done')).toBe('done');
    }
  });

  test('is waited for', () => {
    const path = join(folder, 'lock');
    const holder = String(process.pid);
    writeFileSync(path, holder);
    const source = `
      import { withLock } from ${JSON.stringify(new URL('../scripts/lock.mjs', import.meta.url).href)};
      withLock(${JSON.stringify(path)}, () => undefined);
    `;
    const options = { timeout: 1500 };
    const waiting = spawnSync(process.execPath, ['--input-type=module', '-e', source], options);
    expect(waiting.signal).toBe('SIGTERM');
    expect(readFileSync(path, 'utf8')).toBe(holder);
  });
});

describe('an installation', () => {
  const said: string[] = [];
  const fails = () => Promise.reject(new Error('not there'));
  beforeEach(() => {
    said.length = 0;
    for (const method of ['log', 'warn'] as const) {
      vi.spyOn(console, method).mockImplementation((text: string) => {
        said.push(text);
      });
    }
  });
  const install = async (changes: Partial<Parameters<typeof installAddon>[0]>) => {
    const building = vi.fn(() => Promise.resolve({ seconds: 3 }));
    await installAddon({
      packageFolder: folder,
      title: description.title,
      load: fails,
      build: building,
      ...changes,
    });
    return building.mock.calls.length;
  };

  test('builds nothing where an addon loads', async () => {
    expect(await install({ load: () => Promise.resolve() })).toBe(0);
    expect(said).toEqual([]);
  });

  test('builds where none does', async () => {
    let loads = 0;
    expect(await install({ load: () => (loads++ === 0 ? fails() : Promise.resolve()) })).toBe(1);
    expect(said.at(-1)).toBe('Built in 3 s.');
  });

  test('says so where what it built does not load', async () => {
    expect(await install({})).toBe(1);
    expect(said.at(-1)).toContain('does not load');
    expect(said.at(-1)).toContain(
      join(folder, 'scripts/build-native.mjs').replaceAll('\\', '\\\\'),
    );
  });

  test('does not fail where it cannot be built', async () => {
    const output = 'what the compiler said';
    await install({ build: () => Promise.reject(Object.assign(new Error('no g++'), { output })) });
    expect(said).toContain(output);
    expect(said.at(-1)).toContain(
      'The native test backend was not built: no g++.\nTo try again: node ',
    );
  });

  test('builds nothing in the repository, or where it is told not to', async () => {
    vi.stubEnv('RWKV_TS_SKIP_NATIVE_BUILD', '1');
    expect(await install({})).toBe(0);
    vi.unstubAllEnvs();
    writeFileSync(join(folder, 'tsup.config.ts'), '');
    expect(await install({})).toBe(0);
  });
});

describe('platform packages', () => {
  const addon = () => ({ packageFolder: folder, fileName: description.fileName });
  const addBuild = (platform: string) => {
    mkdirSync(join(folder, 'prebuilds', platform), { recursive: true });
    writeFileSync(join(folder, 'prebuilds', platform, description.fileName), platform);
  };
  const manifest = () =>
    JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, unknown>;
  beforeEach(() => {
    vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const { packageName: name } = description;
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, version, license: 'MIT' }));
  });

  test('hold the addon for one machine, and the licences', () => {
    addBuild('linux-arm64-musl');
    const path = pack(addon(), { platform: 'linux-arm64-musl', to: join(folder, 'packed') });
    expect(path).toBe(join(folder, 'packed/rwkv-ts-backend-test-linux-arm64-musl-1.2.3.tgz'));
    const { stdout } = spawnSync('tar', ['-tf', path], { encoding: 'utf8' });
    expect(stdout.trim().split('\n').sort()).toEqual([
      'package/LICENSE',
      'package/LICENSE.node-addon-api.md',
      'package/README.md',
      'package/package.json',
      'package/rwkv_test.node',
    ]);
    const read = join(folder, 'build/platform-packages/linux-arm64-musl');
    expect(JSON.parse(readFileSync(join(read, 'package.json'), 'utf8'))).toMatchObject({
      name: '@rwkv-ts/backend-test-linux-arm64-musl',
      version,
      license: 'MIT',
      main: 'rwkv_test.node',
      os: ['linux'],
      cpu: ['arm64'],
      libc: ['musl'],
    });
    expect(readFileSync(join(read, 'README.md'), 'utf8')).toContain('Linux arm64, musl (Alpine)');
  });

  test('are for what was built, on platforms that have them', () => {
    expect(() => pack(addon(), { platform: 'linux-x64-gnu' })).toThrow('build it first');
    expect(() => pack(addon(), { platform: 'sunos-sparc' })).toThrow('no package for sunos-sparc');
    const some = { ...addon(), platforms: ['win32-x64'] };
    expect(() => pack(some, { platform: 'linux-x64-gnu' })).toThrow('there are win32-x64');
  });

  test('become optional dependencies, of exactly this version, when all are there', () => {
    const names = ['linux-x64-gnu', 'win32-x64'];
    const some = { ...addon(), platforms: names };
    for (const name of names) {
      expect(() => {
        wire(some);
      }).toThrow(`version 1.2.3 is not packed for ${names.slice(names.indexOf(name)).join(', ')}`);
      addBuild(name);
      pack(some, { platform: name });
    }
    wire(some);
    expect(manifest()['optionalDependencies']).toEqual({
      '@rwkv-ts/backend-test-linux-x64-gnu': '1.2.3',
      '@rwkv-ts/backend-test-win32-x64': '1.2.3',
    });
    expect(() => {
      wire(addon());
    }).toThrow(Object.keys(platforms).at(-2)!);
  });
});
