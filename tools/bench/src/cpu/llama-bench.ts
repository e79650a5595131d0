/** Commands for llama.cpp's own measuring programs, and reading what they print. */

/** One test of one file by llama-bench, in a process of its own that warms up once. */
export function llamaBenchCommand(
  program: string,
  {
    file,
    threads,
    prompt,
    tokens,
  }: { file: string; threads: number; prompt: number; tokens: number },
): string[] {
  const test = ['-p', String(prompt), '-n', String(tokens)];
  return [program, '-m', file, ...test, '-r', '1', '-t', String(threads), '-o', 'json'];
}

export interface LlamaBenchResult {
  /** Tokens a second. */
  readonly rate: number;
  readonly prompt: number;
  readonly tokens: number;
  /** What ran: version, processor, settings. */
  readonly engine: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** @throws SyntaxError, TypeError where it is not what llama-bench prints with `-o json` */
export function parseLlamaBench(output: string): LlamaBenchResult[] {
  const parsed: unknown = JSON.parse(output);
  if (!Array.isArray(parsed)) throw new TypeError('llama-bench printed no list of results.');
  return parsed.map((each: Fields) => {
    const number = (key: string): number => numberAt(each, key);
    return {
      rate: number('avg_ts'),
      prompt: number('n_prompt'),
      tokens: number('n_gen'),
      engine: `llama.cpp ${String(each['build_commit'])} (${String(each['build_number'])}), ${String(each['backends'])}, ${number('n_threads')} threads, batch ${number('n_batch')}/${number('n_ubatch')}`,
    };
  });
}

/** `batch` sequences that decode together; one prompt token each, as a prompt's time is told apart. */
export function batchedBenchCommand(
  program: string,
  {
    file,
    threads,
    batch,
    tokens,
  }: { file: string; threads: number; batch: number; tokens: number },
): string[] {
  const test = ['-npp', '1', '-ntg', String(tokens), '-npl', String(batch)];
  const context = ['-c', String(Math.max(512, 2 * batch * (tokens + 1)))];
  const many = ['-t', String(threads), '-tb', String(threads)];
  return [program, '-m', file, ...test, ...context, ...many, '--output-format', 'jsonl'];
}

/** Tokens a second over all sequences. @throws TypeError where it is not what llama-batched-bench prints as JSON lines */
export function parseBatchedBench(output: string): number {
  const line = output.split('\n').find((each) => each.startsWith('{'));
  if (line === undefined) throw new TypeError('llama-batched-bench printed no result.');
  return numberAt(JSON.parse(line) as Fields, 'speed_tg');
}

function numberAt(fields: Fields, key: string): number {
  const value = fields[key];
  if (typeof value === 'number') return value;
  throw new TypeError(`The result has no number ${key}, but ${JSON.stringify(value)}.`);
}
