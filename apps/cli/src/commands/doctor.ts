/** `rwkv doctor`: runs the conformance cases on every backend found here and says what is usable. */
import { cpus, totalmem } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { type Backend, RwkvError } from '@rwkv-ts/backend';
import type { Command } from 'commander';
import { outputColors as colors } from '../colors.js';
import {
  type BackendChoice,
  type BackendFacts,
  backends,
  type BackendSettings,
  chooseBackend,
} from '../backends.js';
import { exitCodes } from '../exit-codes.js';
import { describeFailure, ExitError, UsageError } from '../failure.js';
import { addBackendSettings, backendSettingsOf } from '../model-options.js';
import { printable } from '../printable.js';
import type { Terminal } from '../terminal.js';

interface DoctorOptions extends BackendSettings {
  readonly backend?: string;
  readonly group?: string;
  readonly verbose?: true;
  readonly json?: true;
}

interface Finding {
  readonly group: string;
  readonly name: string;
  readonly error: string;
}

interface Report {
  readonly backend: string;
  readonly device?: string;
  readonly facts?: BackendFacts;
  readonly usable: boolean;
  /** Why the backend could not even be made. */
  readonly unavailable?: string;
  readonly passed: number;
  readonly failed: readonly Finding[];
  readonly seconds: number;
}

export function addDoctor(program: Command, terminal: Terminal): void {
  const command = program
    .command('doctor')
    .summary('what works on this machine')
    .description(
      'Runs the conformance cases on every backend found here, against the f64 reference, and says which are usable.',
    )
    .option('--backend <name>', 'only this one');
  addBackendSettings(command)
    .option('--group <name>', 'only one group of cases')
    .option('--verbose', 'list every case')
    .option('--json', 'the whole report, to attach to an issue')
    .addHelpText(
      'after',
      `\nBackends of this build:\n${backends.map(({ name, description }) => `  ${name.padEnd(16)} ${description}`).join('\n')}`,
    )
    .action(async (options: DoctorOptions) => {
      await doctor(options, terminal);
    });
}

async function doctor(options: DoctorOptions, terminal: Terminal): Promise<void> {
  const settings = backendSettingsOf(options);
  const all = options.backend === undefined && Object.keys(settings).length === 0;
  const chosen = all ? backends : [chooseBackend(options.backend ?? 'auto', settings)];
  const machine = {
    platform: `${process.platform}-${process.arch}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: totalmem(),
    node: process.version,
  };
  if (!options.json)
    await terminal.line(
      `${machine.cpu}, ${machine.cores} cores, ${machine.platform}, Node ${machine.node}`,
    );
  const reports: Report[] = [];
  for (const choice of chosen) {
    const report = await examine({ choice, settings, options, terminal });
    reports.push(report);
    if (!options.json) await printReport(report, terminal);
  }
  if (options.json) await terminal.json({ machine, backends: reports });
  if (!reports.some(({ usable }) => usable)) throw new ExitError(exitCodes.backend);
  if (reports.some(({ failed }) => failed.length > 0)) throw new ExitError(exitCodes.failed);
}

async function examine({
  choice,
  settings,
  options,
  terminal,
}: {
  choice: BackendChoice;
  settings: BackendSettings;
  options: DoctorOptions;
  terminal: Terminal;
}): Promise<Report> {
  const began = performance.now();
  const made: Backend[] = [];
  const create = async (): Promise<Backend> => {
    const backend = await choice.create(settings);
    made.push(backend);
    return backend;
  };
  let device: string;
  try {
    await using backend = await create();
    device = backend.name;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const unavailable = RwkvError.isInstance(error)
      ? error.message
      : (describeFailure(error).line ?? String(error));
    return { backend: choice.name, usable: false, unavailable, passed: 0, failed: [], seconds: 0 };
  }
  // Loaded only here: no other command needs the suite.
  const { listConformanceCases } = await import('@rwkv-ts/backend-kit/conformance');
  const all = listConformanceCases({ create });
  const cases =
    options.group === undefined ? all : all.filter(({ group }) => group === options.group);
  if (cases.length === 0) {
    const groups = [...new Set(all.map(({ group }) => group))].join(', ');
    throw new UsageError(`there is no group '${options.group ?? ''}'; there are: ${groups}.`);
  }
  using progress = terminal.progress(`Testing ${choice.name}`);
  const failed: Finding[] = [];
  for (const [index, { group, name, run }] of cases.entries()) {
    // A turn of the event loop, so that Ctrl-C and the progress bar get theirs.
    await setImmediate();
    terminal.signal.throwIfAborted();
    try {
      await run();
      if (options.verbose && !options.json) await terminal.line(`  ok ${group} › ${name}`);
    } catch (error) {
      failed.push({ group, name, error: error instanceof Error ? error.message : String(error) });
    }
    progress.update(index + 1, cases.length);
  }
  const facts = choice.facts?.(made);
  return {
    backend: choice.name,
    device,
    ...(facts === undefined ? {} : { facts }),
    usable: failed.length === 0,
    passed: cases.length - failed.length,
    failed,
    seconds: (performance.now() - began) / 1000,
  };
}

async function printReport(
  { backend, device, facts, unavailable, passed, failed, seconds }: Report,
  terminal: Terminal,
): Promise<void> {
  if (unavailable !== undefined) {
    const reason = printable(unavailable).replaceAll('\n', '\n    ');
    await terminal.write(`${colors.yellow('–')} ${backend}: not usable here.\n    ${reason}\n`);
    return;
  }
  const mark = failed.length === 0 ? colors.green('✓') : colors.red('✗');
  await terminal.write(
    `${mark} ${backend}: ${passed} cases passed, ${failed.length} failed, in ${seconds.toFixed(1)} s\n`,
  );
  if (facts !== undefined) {
    const shown: BackendFacts = { ...(device === undefined ? {} : { device }), ...facts };
    for (const [name, value] of Object.entries(shown))
      await terminal.line(`    ${name}: ${[value].flat().join(', ')}`);
  }
  for (const { group, name, error } of failed)
    await terminal.line(`    ${group} › ${name}: ${error}`);
}
