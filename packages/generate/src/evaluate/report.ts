import type { EvaluationResult } from './evaluate-items.js';

/** A task under the name that it has in a report. */
export type ReportedTask = Pick<EvaluationResult, 'items' | 'tokens' | 'metrics'> & {
  readonly name: string;
};

/**
 * Results as a Markdown table, a row for each metric.
 * @param facts said in front, one a line: the model, what computed
 */
export function evaluationReport(
  tasks: readonly ReportedTask[],
  facts: Readonly<Record<string, string>> = {},
): string {
  const header = ['Task', 'Items', 'Tokens', 'Metric', 'Value', 'Standard error'];
  const rows = tasks.flatMap(({ name, items, tokens, metrics }) =>
    Object.entries(metrics).map(([metric, { value, standardError }]) => [
      escaped(name),
      String(items),
      String(tokens),
      metric,
      value.toFixed(4),
      standardError === null ? '' : standardError.toFixed(4),
    ]),
  );
  const lines = [header, header.map((_, at) => (at === 0 || at === 3 ? '---' : '---:')), ...rows];
  return [
    ...Object.entries(facts).map(([name, fact]) => `- ${name}: ${escaped(fact)}`),
    ...(Object.keys(facts).length > 0 ? [''] : []),
    ...lines.map((line) => `| ${line.join(' | ')} |`),
    '',
  ].join('\n');
}

/** What a name could do to a table. */
function escaped(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\\|`*_<>[\]]/g, '\\$&');
}
