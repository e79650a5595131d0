import { join } from 'node:path';
import { BackendError } from '@rwkv-ts/backend';
import { expect, test } from 'vitest';
import { findLibc, platformName } from '../scripts/platform.mjs';
import { findNative, loadNative, platformPackage, type NativeHost } from './load-native.js';

const folder = '/somewhere/backend-cpu';
const local = join(folder, 'prebuilds/linux-x64-gnu/rwkv_cpu.node');
const prebuilt = '@rwkv-ts/backend-cpu-linux-x64-gnu';
const missing = Object.assign(new Error("Cannot find module 'it'"), { code: 'MODULE_NOT_FOUND' });
const tooOld = Object.assign(new Error("version `GLIBC_2.38' not found"), {
  code: 'ERR_DLOPEN_FAILED',
});

/** A machine on which `modules` can be required; an Error among them is thrown. */
function machine(modules: Record<string, unknown>, changes: Partial<NativeHost> = {}): NativeHost {
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

function failure(host: NativeHost): BackendError {
  try {
    loadNative(host);
  } catch (error) {
    expect(error).toBeInstanceOf(BackendError);
    expect((error as BackendError).code).toBe('DEVICE_UNAVAILABLE');
    return error as BackendError;
  }
  throw new Error('loaded');
}

test('the build from source comes before the platform package', () => {
  const [ours, theirs] = [{ version: '1.2.3' }, { version: '1.2.3' }];
  expect(loadNative(machine({ [local]: ours, [prebuilt]: theirs }))).toBe(ours);
  expect(loadNative(machine({ [prebuilt]: theirs }))).toBe(theirs);
});

test('where it was found is told', () => {
  const addon = { version: '1.2.3' };
  const source = (modules: Record<string, unknown>) => findNative(machine(modules)).source;
  expect(source({ [local]: addon })).toBe(`the build from source ${local}`);
  expect(source({ [prebuilt]: addon })).toBe(`the package ${prebuilt}`);
});

test.each([
  ['of another version', { version: '1.2.2' }],
  ['that does not load', tooOld],
  ['that is something else', {}],
])('a build from source %s gives way to the platform package', (_, build) => {
  const theirs = { version: '1.2.3' };
  expect(loadNative(machine({ [local]: build, [prebuilt]: theirs }))).toBe(theirs);
});

test('nothing there: both are named, with what to install and what to run', () => {
  const error = failure(machine({}));
  expect(error.message).toContain('1.2.3 cannot be loaded on linux-x64-gnu');
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
  expect(error.message).toContain('@rwkv-ts/backend-cpu-freebsd-x64: no such package is published');
  expect(error.message).not.toContain('install @rwkv-ts');
  expect(error.message).toContain('a C++17 compiler');
  expect(asked).toEqual([]);
});

test('in the repository the remedy is to build it', () => {
  const error = failure(machine({ [join(folder, 'tsup.config.ts')]: {} }));
  expect(error.message).toContain('run `pnpm build`');
  expect(error.message).not.toContain('install @rwkv-ts');
});

test('platform names', () => {
  expect(platformName({ platform: 'linux', arch: 'arm64', libc: 'musl' })).toBe('linux-arm64-musl');
  expect(platformName({ platform: 'darwin', arch: 'arm64' })).toBe('darwin-arm64');
  expect(platformName({ platform: 'win32', arch: 'x64' })).toBe('win32-x64');
  expect(platformPackage('win32-x64')).toBe('@rwkv-ts/backend-cpu-win32-x64');
  expect(platformName()).toMatch(/^[a-z0-9]+-[a-z0-9]+/);
});

test('the C library is read from the memory map, and from the report where there is none', () => {
  const gnu = '7f r-xp 1 fe:00 2 /usr/lib/x86_64-linux-gnu/libc.so.6\n';
  const musl = '7f r-xp 1 fe:00 2 /lib/ld-musl-x86_64.so.1\n';
  const unread = () => {
    throw new Error('the report was made');
  };
  expect(findLibc({ readMap: () => gnu, report: unread })).toBe('gnu');
  expect(findLibc({ readMap: () => musl, report: unread })).toBe('musl');
  const noMap = { readMap: () => undefined };
  expect(findLibc({ ...noMap, report: () => ({ header: { glibcVersionRuntime: '2.36' } }) })).toBe(
    'gnu',
  );
  expect(findLibc({ ...noMap, report: () => ({ header: {} }) })).toBe('musl');
  expect(findLibc({ ...noMap, report: () => undefined })).toBe('musl');
});
