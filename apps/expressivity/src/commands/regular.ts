/** `regular`: regular languages by construction. */
import { fileSink } from '@rwkv-ts/weights/node';
import { writeSafetensors } from '@rwkv-ts/weights';
import { type Command, Option } from 'commander';
import { type BackendName, backendNames, createBackend } from '../backends.js';
import {
  checkLanguage,
  type CheckResult,
  compileLanguage,
  type CompiledLanguage,
} from '../check-language.js';
import { Recogniser } from '../construction/recogniser.js';
import { CheckFailed } from '../failure.js';
import { createAlphabet, encodeString } from '../regular/alphabet.js';
import { type Language, languages } from '../regular/languages.js';
import { codeCell, machine, markdownTable, writeReport } from '../report.js';
import { integer } from './integer-option.js';

interface RegularOptions {
  readonly alphabet: string;
  readonly check?: number;
  readonly longest: number;
  readonly seed: number;
  readonly backend: BackendName;
  readonly accept?: readonly string[];
  readonly save?: string;
  readonly write?: string;
}

export function addRegular(program: Command): void {
  program
    .command('regular')
    .description(
      'compile a regular expression to RWKV-7 weights and check them against an automaton',
    )
    .argument(
      '[pattern]',
      'matched against whole strings: | * + ? {m,n} ( ) [a-z] [^a] . \\; all built-in ones if left out',
    )
    .option('-a, --alphabet <letters>', 'the letters that strings are made of', 'ab')
    .option(
      '-c, --check <count>',
      'random strings to check; 10000 without a pattern',
      integer(1, 10_000_000),
    )
    .option('--longest <letters>', 'the longest of them', integer(0, 1_000_000), 1000)
    .option('--seed <number>', 'of the strings', integer(0, 2 ** 32 - 1), 1)
    .addOption(
      new Option('-b, --backend <name>', 'where the model runs')
        .choices(backendNames)
        .default('cpu'),
    )
    .option('--accept <string...>', 'strings to ask the model about')
    .option('--save <file>', 'write the model, as safetensors with the official names')
    .option('--write <file>', 'write the table of all built-in patterns, as Markdown')
    .addHelpText(
      'after',
      `
Examples:
  regular 'b*(ab*ab*)*' --check 10000
  regular '(0|1(01*0)*1)*' --alphabet 01 --accept 110 111 ''
  regular --check 10000 --write bench/results/expressivity-regular.md`,
    )
    .action(async (pattern: string | undefined, options: RegularOptions) => {
      if (pattern === undefined) await checkAll(options);
      else await runOne({ name: 'the pattern', pattern, alphabet: options.alphabet }, options);
    });
}

async function runOne(language: Language, options: RegularOptions): Promise<void> {
  const built = compileLanguage(language);
  console.log(describe(built));
  if (options.save !== undefined) await save(built, options.save);
  await using backend = await createBackend(options.backend);
  if (options.accept) {
    const alphabet = createAlphabet(language.alphabet);
    const strings = options.accept.map((text) => encodeString(text, alphabet));
    await using recogniser = await Recogniser.create(backend, built.compiled);
    const answers: boolean[] = [];
    for await (const { index, accepted } of recogniser.recognise(strings))
      answers[index] = accepted.at(-1) === 1;
    for (const [at, text] of options.accept.entries()) {
      console.log(`${answers[at] ? 'accepts' : 'rejects'} ${JSON.stringify(text)}`);
    }
  }
  if (options.check === undefined) return;
  const result = await checkLanguage(backend, built, { ...options, count: options.check });
  console.log(`${describeResult(result)}, on ${backend.name}`);
  requireRight([result]);
}

function describe({ dfa, compiled: { config, plan, weights } }: CompiledLanguage): string {
  const parameters = weights.reduce((sum, { bytes }) => sum + bytes.length / 4, 0);
  return [
    `minimal automaton: ${dfa.states} states; of the reversed strings: ${plan.registers}`,
    `blocks of ${plan.blockLength}; ${plan.moves.length} different moves`,
    `model: ${config.layers} layers, ${config.channels} channels, ${config.heads} heads of ${config.headSize}, channel-mix ${config.channelMixSize}; ${parameters} parameters`,
  ].join('\n');
}

function describeResult(result: CheckResult): string {
  const {
    strings,
    acceptedStrings,
    prefixes,
    longest,
    wrongStrings,
    wrongPrefixes,
    inexact,
    seconds,
  } = result;
  return (
    `${strings} strings of up to ${longest} letters, ${acceptedStrings} of them accepted; ${prefixes} prefixes: ` +
    `${wrongStrings} strings and ${wrongPrefixes} prefixes wrong, ${inexact} logits inexact, ${seconds.toFixed(1)} s`
  );
}

function requireRight(results: readonly CheckResult[]): void {
  const wrong = results.reduce((sum, { wrongPrefixes }) => sum + wrongPrefixes, 0);
  if (wrong > 0)
    throw new CheckFailed(
      `The model and the automaton disagree on ${wrong} strings or prefixes of strings.`,
    );
}

async function save(
  { compiled: { config, weights } }: CompiledLanguage,
  path: string,
): Promise<void> {
  const model = {
    config,
    tensors: weights.map(({ name, shape, format }) => ({ name, shape, format })),
    async *weights() {
      yield* weights;
    },
  };
  await writeSafetensors(model, await fileSink(path), { layout: 'official' });
  console.log(`wrote ${path}; run it with the doubled removal (see the README)`);
}

async function checkAll(options: RegularOptions): Promise<void> {
  const count = options.check ?? 10_000;
  await using backend = await createBackend(options.backend);
  const results: { language: Language; built: CompiledLanguage; result: CheckResult }[] = [];
  for (const language of languages) {
    const built = compileLanguage(language);
    const result = await checkLanguage(backend, built, { ...options, count });
    console.log(`${language.name}: ${describeResult(result)}`);
    results.push({ language, built, result });
    if (options.write !== undefined) {
      // After each, so that a long run leaves what it has.
      await writeReport(options.write, report(results, { options, count, backend: backend.name }));
    }
  }
  requireRight(results.map(({ result }) => result));
}

function report(
  results: readonly { language: Language; built: CompiledLanguage; result: CheckResult }[],
  { options, count, backend }: { options: RegularOptions; count: number; backend: string },
): string {
  const rows = results.map(({ language, built: { dfa, compiled }, result }) => {
    const { config, plan } = compiled;
    return [
      language.name,
      codeCell(language.pattern),
      dfa.states,
      plan.registers,
      plan.blockLength,
      config.layers,
      config.channels,
      config.channelMixSize,
      result.acceptedStrings,
      result.prefixes,
      result.wrongStrings,
      result.wrongPrefixes,
      result.inexact,
      Number(result.seconds.toFixed(1)),
    ];
  });
  const header = [
    'language',
    'pattern',
    'states',
    'reversed',
    'block',
    'layers',
    'channels',
    'hidden',
    'accepted',
    'prefixes',
    'wrong strings',
    'wrong prefixes',
    'inexact logits',
    's',
  ];
  return `# Regular languages by construction

${machine()}; \`node apps/expressivity/dist/main.js regular --check ${count} --longest ${options.longest} --seed ${options.seed} --backend ${options.backend} --write …\`, on ${backend}.

Each pattern is compiled to RWKV-7 weights, and the model's answer is compared with the automaton's on every prefix of ${count} random strings of up to ${options.longest} letters: half uniform, a quarter uniform among the accepted, a quarter those with one letter changed or uniform among the rejected, the logarithms of lengths uniform.

- \`states\`: of the minimal automaton; \`reversed\`: of that of the reversed strings, which are the model's registers.
- \`block\`: letters after which their moves are made; \`layers\`, \`channels\`, \`hidden\`: of the model (\`hidden\`: width of the channel-mix).
- \`accepted\`: of the whole strings. \`prefixes\`: answers compared, the strings themselves among them.
- \`inexact logits\`: other than exactly ±1 for the token that ends a string and exactly 0 for the others.
- \`s\`: wall time, beside whatever else the machine was doing; the load average is that at the end.

${markdownTable(header, rows)}
`;
}
