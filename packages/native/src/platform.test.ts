import { expect, test } from 'vitest';
import { buildTools, findLibc, platformName } from '../scripts/platform.mjs';

test('platform names', () => {
  expect(platformName({ platform: 'linux', arch: 'arm64', libc: 'musl' })).toBe('linux-arm64-musl');
  expect(platformName({ platform: 'darwin', arch: 'arm64' })).toBe('darwin-arm64');
  expect(platformName({ platform: 'win32', arch: 'x64' })).toBe('win32-x64');
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

test('every system has tools to build with', () => {
  expect(buildTools('linux')).toContain('apt install');
  expect(buildTools('darwin')).toContain('xcode-select');
  expect(buildTools('win32')).toContain('Visual Studio');
  expect(buildTools('freebsd')).toContain('C++17');
});
