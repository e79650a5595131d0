/** What a report begins with, and where it goes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const today = (): string => new Date().toISOString().slice(0, 10);

const folder = fileURLToPath(new URL('../../../bench/results', import.meta.url));

/** A picture beside the text. */
export interface Plot {
  /** Of bench/results. */
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

export interface Report {
  readonly title: string;
  /** Of bench/results. */
  readonly file: string;
  readonly text: string;
  /** Shown at the end of the file; what is printed has none. */
  readonly plots?: readonly Plot[];
  readonly data: object;
}

export interface ReportTarget {
  readonly json: string | undefined;
  readonly write: boolean;
}

export function processor(): string {
  return cpus()[0]?.model.trim() ?? 'unknown processor';
}

/** `local`: options whose values mean nothing elsewhere; they are left out, with what only says where output goes. */
export function surroundings(program: string, local: readonly string[] = []): string {
  const load = (loadavg()[0] ?? 0).toFixed(1);
  const given = process.argv.slice(2);
  const valued = ['--json', ...local];
  const words = given.filter(
    (word, index) => !['--write', ...valued].includes(word) && !valued.includes(given[index - 1]!),
  );
  const command = [`node tools/bench/dist/${program}`, ...words].join(' ');
  const host = `${processor()}, ${cpus().length} cores, load average ${load} at the end`;
  return `${host}; Node ${process.version}; ${today()}; \`${command}\`.`;
}

/** Prints the report, and writes what was asked for. `about`: what it ran on; `settings`: the options. */
export function publish(
  { title, file, text, plots = [], data }: Report,
  parts: { readonly where: string; readonly about: object; readonly settings: ReportTarget },
): void {
  const { where, about, settings } = parts;
  const report = `# ${title}\n\n${where}\n\n${text}\n`;
  console.log(report);
  if (settings.json !== undefined) {
    const host = { cpu: processor(), cores: cpus().length, node: process.version };
    const dated = { ...settings, date: new Date().toISOString() };
    const whole = { about: { ...about, ...host }, settings: dated, ...data };
    writeFileSync(settings.json, JSON.stringify(whole, undefined, 1));
  }
  if (!settings.write) return;
  mkdirSync(folder, { recursive: true });
  const shown = plots.map((plot) => `\n![${plot.title}](${plot.file})\n`).join('');
  writeFileSync(join(folder, file), `${report}${shown}`);
  for (const plot of plots) writeFileSync(join(folder, plot.file), plot.svg);
}
