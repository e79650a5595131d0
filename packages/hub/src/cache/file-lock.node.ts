/**
 * A lock that other processes see: a file that says who holds it. Node has no lock of the system's that would end with its
 * process, so a holder that died is recognised by its process number, and on other machines (a shared folder) by a date that
 * is no longer renewed.
 */
import { randomUUID } from 'node:crypto';
import { open, readFile, readlink, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { abortedError } from '../errors.js';
import type { LockOptions } from './storage.js';

const renewMilliseconds = 5_000;
/** Far longer than a busy process goes without renewing. */
const staleMilliseconds = 120_000;
const pollMilliseconds = 100;

interface Holder {
  readonly process: number;
  readonly host: string;
  readonly token: string;
}

export async function fileLock(
  path: string,
  { wait, signal, onWait }: LockOptions,
): Promise<AsyncDisposable | undefined> {
  const me: Holder = { process: process.pid, host: await hostName(), token: randomUUID() };
  for (let told = false; ;) {
    if (await take(path, me)) return held(path, me);
    if (await dropStale(path)) continue;
    if (!wait) return undefined;
    if (!told) onWait?.();
    told = true;
    await sleep(pollMilliseconds, signal);
    if (signal?.aborted === true) throw abortedError('Waiting for another download', signal);
  }
}

async function take(path: string, me: Holder): Promise<boolean> {
  try {
    const handle = await open(path, 'wx');
    try {
      await handle.writeFile(JSON.stringify(me));
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

function held(path: string, me: Holder): AsyncDisposable {
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, renewMilliseconds);
  // A lock keeps nobody from ending.
  timer.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      if ((await holderOf(path))?.token === me.token) await rm(path, { force: true });
    },
  };
}

/** Whether the lock was of a holder that is gone, and is free now. */
async function dropStale(path: string): Promise<boolean> {
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined) return true;
  const holder = await holderOf(path);
  const age = Date.now() - facts.mtimeMs;
  if (!(await isGone(holder, age))) return false;
  // Renamed first: of two that find it stale, only one gets it, and a lock taken anew meanwhile is put back.
  const aside = `${path}.${randomUUID()}`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return true;
  const wasFresh = (await holderOf(aside))?.token !== holder?.token;
  if (wasFresh) await rename(aside, path).catch(() => undefined);
  else await rm(aside, { force: true });
  return !wasFresh;
}

async function isGone(holder: Holder | undefined, age: number): Promise<boolean> {
  // Without a holder it is being written this moment, or its writer died at it.
  if (holder === undefined) return age > renewMilliseconds;
  if (age > staleMilliseconds) return true;
  if (holder.host !== (await hostName())) return false;
  try {
    process.kill(holder.process, 0);
    return false;
  } catch (error) {
    return isCode(error, 'ESRCH');
  }
}

/** Where process numbers mean the same: containers on one machine may share a folder and a name, and not these. */
async function hostName(): Promise<string> {
  const space = await readlink('/proc/self/ns/pid').catch(() => '');
  return `${hostname()} ${space}`.trim();
}

async function holderOf(path: string): Promise<Holder | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<Holder>;
    const { process: number, host, token } = value;
    const isHolder =
      typeof number === 'number' && typeof host === 'string' && typeof token === 'string';
    return isHolder ? { process: number, host, token } : undefined;
  } catch {
    return undefined;
  }
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish, { once: true });
  });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
