/** Tables in Markdown, aligned so that they also read well as text. */
import type { Summary } from './statistics.js';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, index) =>
    Math.max(3, title.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${columns
      .map(({ align = 'right' }, index) => {
        const cell = cells[index] ?? '';
        return align === 'left' ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!);
      })
      .join(' | ')} |`;
  const rule = columns.map(({ align = 'right' }, index) =>
    align === 'left' ? '-'.repeat(widths[index]!) : `${'-'.repeat(widths[index]! - 1)}:`,
  );
  return [line(columns.map(({ title }) => title)), line(rule), ...rows.map(line)].join('\n');
}

/** Three digits that mean something, whole above a hundred. */
export function figure(value: number): string {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

/** `85.1 [82.0–90.3; 5]`: the median, the lowest, the highest, how many. */
export function spread(summary: Summary | undefined): string {
  if (!summary) return '–';
  const { median, lowest, highest, runs } = summary;
  return `${figure(median)} [${figure(lowest)}–${figure(highest)}; ${runs}]`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
