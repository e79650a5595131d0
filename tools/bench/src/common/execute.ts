/** Another program, and what it printed. */
import { spawn } from 'node:child_process';

export interface Executed {
  readonly output: string;
  readonly errors: string;
  /** Exit code, signal, or why it did not start. */
  readonly status: string;
}

export function execute([program = '', ...options]: readonly string[]): Promise<Executed> {
  return new Promise((resolve) => {
    const child = spawn(program, options, { stdio: ['ignore', 'pipe', 'pipe'] });
    let [output, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    child.on('error', ({ message }) => {
      resolve({ output, errors, status: message });
    });
    child.on('close', (code, signal) => {
      resolve({ output, errors, status: String(code ?? signal) });
    });
  });
}

export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
