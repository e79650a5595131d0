/** The platforms that have prebuilt packages, their names, and what building from source needs on each. */
import { readFileSync } from 'node:fs';

/** By name: what npm matches a machine with. `libc` is npm's word for it. */
export const platforms = {
  'linux-x64-gnu': { os: 'linux', cpu: 'x64', libc: 'glibc' },
  'linux-x64-musl': { os: 'linux', cpu: 'x64', libc: 'musl' },
  'linux-arm64-gnu': { os: 'linux', cpu: 'arm64', libc: 'glibc' },
  'linux-arm64-musl': { os: 'linux', cpu: 'arm64', libc: 'musl' },
  'darwin-arm64': { os: 'darwin', cpu: 'arm64' },
  'darwin-x64': { os: 'darwin', cpu: 'x64' },
  'win32-x64': { os: 'win32', cpu: 'x64' },
};

/** `linux-x64-gnu`, `darwin-arm64`, …; also for machines without a prebuilt package, whose own build has this name. */
export function platformName({
  platform = process.platform,
  arch = process.arch,
  libc = platform === 'linux' ? findLibc() : undefined,
} = {}) {
  return [platform, arch, ...(libc === undefined ? [] : [libc])].join('-');
}

/**
 * The C library that this process runs on. The process's own memory map says it at once; the diagnostic report would
 * look up network names first, which can take seconds, so it is asked only where there is no map to read.
 */
export function findLibc({ readMap = readMemoryMap, report = readReport } = {}) {
  const map = readMap();
  if (map !== undefined) return /\/(?:ld-musl-|libc\.musl-)/.test(map) ? 'musl' : 'gnu';
  return report()?.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu';
}

function readMemoryMap() {
  try {
    return readFileSync('/proc/self/maps', 'latin1');
  } catch {
    return undefined;
  }
}

function readReport() {
  process.report.excludeNetwork = true;
  return process.report.getReport();
}

/** What a person installs to build from source. */
export function buildTools(platform = process.platform) {
  if (platform === 'win32') {
    return 'Visual Studio 2022 Build Tools with "Desktop development with C++" and "C++ Clang tools for Windows", and Python 3';
  }
  if (platform === 'darwin') return 'the Xcode command line tools (xcode-select --install)';
  if (platform === 'linux') {
    return 'g++ or clang++, make and Python 3 (Debian, Ubuntu: apt install g++ make python3; Alpine: apk add g++ make python3; Fedora: dnf install gcc-c++ make python3)';
  }
  return 'a C++17 compiler, make and Python 3';
}
