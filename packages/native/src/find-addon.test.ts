import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BackendError } from '@rwkv-ts/backend';
import { expect, test } from 'vitest';
import { platformName } from '../scripts/platform.mjs';
import {
  type AddonDescription,
  type AddonHost,
  findAddon,
  type FoundAddon,
  platformPackage,
} from './find-addon.js';

const description: AddonDescription = {
  title: 'native test backend',
  packageName: '@rwkv-ts/backend-test',
  fileName: 'rwkv_test.node',
};

const folder = '/somewhere/backend-test';
const local = join(folder, 'prebuilds/linux-x64-gnu/rwkv_test.node');
const prebuilt = '@rwkv-ts/backend-test-linux-x64-gnu';
const missing = Object.assign(new Error("Cannot find module 'it'"), { code: 'MODULE_NOT_FOUND' });
const tooOld = Object.assign(new Error("version `GLIBC_2.38' not found"), {
  code: 'ERR_DLOPEN_FAILED',
});

/** A machine on which `modules` can be required; an Error among them is thrown. */
function machine(modules: Record<string, unknown>, changes: Partial<AddonHost> = {}): AddonHost {
  return {
    platform: 'linux-x64-gnu',
    version: '1.2.3',
    packageFolder: folder,
    exists: (path) => path in modules,
    require: (id) => {
      const loaded = id in modules ? modules[id] : missing;
      if (loaded instanceof Error) throw loaded;
      return loaded;
    },
    ...changes,
  };
}

const find = (host: AddonHost): FoundAddon<{ version: string }> => findAddon(description, host);

function failure(host: AddonHost, changes: Partial<AddonDescription> = {}): BackendError {
  try {
    findAddon({ ...description, ...changes }, host);
  } catch (error) {
    expect(error).toBeInstanceOf(BackendError);
    expect((error as BackendError).code).toBe('DEVICE_UNAVAILABLE');
    return error as BackendError;
  }
  throw new Error('loaded');
}

test('the build from source comes before the platform package', () => {
  const [ours, theirs] = [{ version: '1.2.3' }, { version: '1.2.3' }];
  expect(find(machine({ [local]: ours, [prebuilt]: theirs })).addon).toBe(ours);
  expect(find(machine({ [prebuilt]: theirs })).addon).toBe(theirs);
});

test('where it was found is told', () => {
  const addon = { version: '1.2.3' };
  const source = (modules: Record<string, unknown>) => find(machine(modules)).source;
  expect(source({ [local]: addon })).toBe(`the build from source ${local}`);
  expect(source({ [prebuilt]: addon })).toBe(`the package ${prebuilt}`);
});

test.each([
  ['of another version', { version: '1.2.2' }],
  ['that does not load', tooOld],
  ['that is something else', {}],
])('a build from source %s gives way to the platform package', (_, build) => {
  const theirs = { version: '1.2.3' };
  expect(find(machine({ [local]: build, [prebuilt]: theirs })).addon).toBe(theirs);
});

test('nothing there: both are named, with what to install and what to run', () => {
  const error = failure(machine({}));
  expect(error.message).toContain(
    'The native test backend 1.2.3 cannot be loaded on linux-x64-gnu',
  );
  expect(error.message).toContain(`${local}: not there`);
  expect(error.message).toContain(`${prebuilt}: not installed`);
  expect(error.message).toContain(`install ${prebuilt}@1.2.3`);
  expect(error.message).toMatch(/g\+\+ or clang\+\+, make and Python 3/);
  expect(error.message).toContain(`node ${join(folder, 'scripts/build-native.mjs')}`);
  expect(error.expected).toBe('an addon of version 1.2.3 for linux-x64-gnu');
  expect(error.got).toEqual([
    `the build from source ${local}: not there`,
    `the package ${prebuilt}: not installed`,
  ]);
  expect(error.cause).toBeUndefined();
});

test('an addon that does not load: the loader is quoted, and is the cause', () => {
  const error = failure(machine({ [prebuilt]: tooOld }));
  expect(error.message).toContain("does not load: version `GLIBC_2.38' not found");
  expect(error.cause).toBe(tooOld);
});

test('a Node that loads no addons: nothing to install or build is named', () => {
  const barred = Object.assign(new Error('loading addons is disabled'), {
    code: 'ERR_DLOPEN_DISABLED',
  });
  const { message } = failure(machine({ [local]: barred }));
  expect(message).toContain('run Node without --no-addons');
  expect(message.slice(message.indexOf('What helps'))).not.toMatch(/install|build/);
});

test('an addon of another version: both versions are named', () => {
  const error = failure(
    machine({ [local]: { version: '1.2.2' }, [prebuilt]: { version: '1.3.0' } }),
  );
  expect(error.message).toContain('has version 1.2.2, but this package has 1.2.3');
  expect(error.message).toContain('has version 1.3.0, but this package has 1.2.3');
});

test.each([[undefined], [null], [{}], [{ version: 3 }]])('%j is not an addon', (loaded) => {
  expect(failure(machine({ [prebuilt]: loaded })).message).toContain(
    'is not an addon of this package',
  );
});

test('something thrown that is not an Error is told too', () => {
  const host = machine(
    {},
    {
      require: () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error
        throw 'broken';
      },
    },
  );
  expect(failure(host).message).toContain('does not load: broken');
});

test('a platform without a package: only building is offered, and the package is not asked for', () => {
  const asked: string[] = [];
  const host = machine(
    {},
    {
      platform: 'freebsd-x64',
      require: (id) => {
        asked.push(id);
        throw missing;
      },
    },
  );
  const error = failure(host);
  expect(error.message).toContain(
    '@rwkv-ts/backend-test-freebsd-x64: no such package is published',
  );
  expect(error.message).not.toContain('install @rwkv-ts');
  expect(error.message).toContain('a C++17 compiler');
  expect(asked).toEqual([]);
});

test('a backend for some platforms only has packages for those', () => {
  const { message } = failure(machine({}), { platforms: ['win32-x64'] });
  expect(message).toContain(`${prebuilt}: no such package is published`);
  expect(message).not.toContain('install @rwkv-ts');
  expect(failure(machine({}), { platforms: ['linux-x64-gnu'] }).message).toContain(
    `install ${prebuilt}@1.2.3`,
  );
});

test('in the repository the remedy is to build it', () => {
  const error = failure(machine({ [join(folder, 'tsup.config.ts')]: {} }));
  expect(error.message).toContain('run `pnpm build`');
  expect(error.message).not.toContain('install @rwkv-ts');
});

test('a platform package is named after the package and the platform', () => {
  expect(platformPackage('@rwkv-ts/backend-test', 'win32-x64')).toBe(
    '@rwkv-ts/backend-test-win32-x64',
  );
});

test('this machine: version and folder are those of the package whose module asks', () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'find-addon-')));
  try {
    writeFileSync(join(folder, 'package.json'), '{ "version": "4.5.6" }');
    const local = join(folder, 'prebuilds', platformName());
    const asked = () => findAddon(description, pathToFileURL(join(folder, 'dist/index.js')).href);
    expect(asked).toThrow(`native test backend 4.5.6 cannot be loaded on ${platformName()}`);
    expect(asked).toThrow(`node ${join(folder, 'scripts/build-native.mjs')}`);
    mkdirSync(local, { recursive: true });
    writeFileSync(join(local, 'rwkv_test.node'), 'no addon');
    expect(asked).toThrow('does not load');
    const module = join(folder, 'node_modules', `@rwkv-ts/backend-test-${platformName()}`);
    mkdirSync(module, { recursive: true });
    writeFileSync(join(module, 'index.js'), "exports.version = '4.5.6'");
    expect(asked().source).toBe(`the package @rwkv-ts/backend-test-${platformName()}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
