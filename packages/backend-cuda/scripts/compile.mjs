/** Compiles what changed: an object is made anew where its command or a file that it was made of is newer. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';

/**
 * @param {{ folder: string, command: string[], output: string, dependencies?: boolean, inputs?: string[], log?: string }} step
 *   `command` without the output; `dependencies`: the compiler writes a list of what it read beside the output; `log`: a
 *   file for what it says, which is otherwise printed.
 * @returns {Promise<string>} the output
 */
export async function compile(step) {
  const { folder, command, output, dependencies = false, inputs = [], log } = step;
  const record = `${output}.command`;
  const list = `${output}.d`;
  const whole = command.join(' ');
  if (isCurrent()) return output;
  mkdirSync(dirname(output), { recursive: true });
  const fresh = `${output}.${process.pid}.new`;
  const extra = dependencies ? ['-MMD', '-MF', list] : [];
  const { status, said } = await execute([...command, ...extra, '-o', fresh], folder);
  if (status !== 0) throw Object.assign(new Error(`${whole} failed`), { output: said });
  if (log !== undefined) writeFileSync(log, said);
  else if (said.trim() !== '') process.stderr.write(said);
  renameSync(fresh, output);
  writeFileSync(record, whole);
  return output;

  function isCurrent() {
    if (!existsSync(output) || !existsSync(record) || readFileSync(record, 'utf8') !== whole)
      return false;
    if (dependencies && !existsSync(list)) return false;
    const { mtimeMs } = statSync(output);
    return [...inputs, ...(dependencies ? readList(list) : [])].every((input) => {
      const path = isAbsolute(input) ? input : join(folder, input);
      return existsSync(path) && statSync(path).mtimeMs <= mtimeMs;
    });
  }
}

/** The files of a list as compilers write it for make. */
function readList(path) {
  const [, ...files] = readFileSync(path, 'utf8')
    .replaceAll('\\\n', ' ')
    .split(/\s+/)
    .filter(Boolean);
  return files;
}

/** stdout and stderr together; a signal counts as failure and is named. */
export function execute([command, ...options], folder) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, options, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (chunk) => (said += chunk));
    child.stderr.on('data', (chunk) => (said += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal !== null) said += `\nended by ${signal}`;
      resolve({ status: code ?? 1, said });
    });
  });
}

/** Results in the order of the items. */
export async function inParallel(items, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(items.length, availableParallelism()) }, worker));
  return results;
}
