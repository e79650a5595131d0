/** One build at a time: tests and builds may be started side by side. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Does `work` while this process holds the lock file, and returns its result. */
export function withLock(path, work) {
  const own = String(process.pid);
  mkdirSync(dirname(path), { recursive: true });
  for (let waited = 0; ; waited++) {
    try {
      writeFileSync(path, own, { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    // Read twice: it is empty for a moment when it has just been made.
    const holder = readHolder(path) ?? (pause(), readHolder(path));
    if (holder === undefined || !lives(holder)) rmSync(path, { force: true });
    else {
      if (waited === 5) console.warn(`waiting for the native build of process ${holder} (${path})`);
      pause();
    }
  }
  try {
    return work();
  } finally {
    // Whoever found this process gone has the lock by now.
    if (readHolder(path) === process.pid) rmSync(path, { force: true });
  }
}

function pause() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
}

/** Undefined where the file has just gone, or holds no number. */
function readHolder(path) {
  try {
    return Number(readFileSync(path, 'utf8')) || undefined;
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
