/** Reports in Markdown, and what they were measured on. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { dirname, resolve } from 'node:path';

/** Cells go in as they are; `|` in them is escaped. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const cell = (content: string | number) => String(content).replaceAll('|', '\\|');
  const line = (cells: readonly (string | number)[]) => `| ${cells.map(cell).join(' | ')} |`;
  const isNumeric = header.map((_, column) => rows.every((row) => typeof row[column] === 'number'));
  const rule = isNumeric.map((numeric) => (numeric ? '---:' : '---'));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

/** Code in a table's cell; a pattern of more than 60 characters is cut. */
export function codeCell(text: string): string {
  const shown = text.length > 60 ? `${text.slice(0, 57)}…` : text;
  return `\`${shown}\``;
}

export function machine(): string {
  const processors = cpus();
  const model = (processors[0]?.model ?? 'unknown processor').replace(/\s+/g, ' ').trim();
  const load = loadavg()[0]!.toFixed(1);
  const date = new Date().toISOString().slice(0, 10);
  return `${model}, ${processors.length} cores, load average ${load}; Node ${process.version}; ${date}`;
}

/** Whoever opens the file sees the old one or the whole new one. */
export async function writeReport(path: string, text: string): Promise<string> {
  const target = resolve(path);
  await mkdir(dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}.part`;
  await writeFile(temporary, text);
  await rename(temporary, target);
  return target;
}
