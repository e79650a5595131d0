/** The options of `node dist/training.js`. */
import { integer, list, parseWords, sizes, UsageError } from '../common/option-values.js';

export { UsageError };

export const usage = `node tools/bench/dist/training.js [options]

Tokens a second of a training step of RWKV-7 on the CPU backend: forward, backward, and the optimiser.

  --batches 4,8            sequences of a step
  --vocabularies 256,4096  sizes of the vocabulary
  --context 256            tokens of a sequence
  --channels 256           a multiple of 64
  --layers 6
  --threads N              default: the backend's own choice
  --steps 5                of which a round takes the median
  --rounds 3               of everything, every other one backwards
  --python python3         that has PyTorch, or none to leave it out
  --json FILE              everything that was measured
  --write                  bench/results/training.md`;

export interface Options {
  readonly batches: readonly number[];
  readonly vocabularies: readonly number[];
  readonly context: number;
  readonly channels: number;
  readonly layers: number;
  readonly threads: number | undefined;
  readonly steps: number;
  readonly rounds: number;
  readonly python: string | undefined;
  readonly json: string | undefined;
  readonly write: boolean;
}

/** Undefined where help is asked for. @throws UsageError */
export function readOptions(words: readonly string[]): Options | undefined {
  const { values, positionals } = parseWords(words, {
    batches: { type: 'string', default: '4,8' },
    vocabularies: { type: 'string', default: '256,4096' },
    context: { type: 'string', default: '256' },
    channels: { type: 'string', default: '256' },
    layers: { type: 'string', default: '6' },
    threads: { type: 'string' },
    steps: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    python: { type: 'string', default: 'python3' },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  });
  if (values.help) return undefined;
  if (positionals.length > 0) throw new UsageError(`What is ${positionals.join(' ')}?`);
  const channels = integer('--channels', values.channels, 64);
  if (channels % 64 !== 0) throw new UsageError('--channels must be a multiple of 64.');
  return {
    batches: sizes('--batches', values.batches),
    vocabularies: list(values.vocabularies).map((each) => integer('--vocabularies', each, 2)),
    context: integer('--context', values.context, 1),
    channels,
    layers: integer('--layers', values.layers, 1),
    threads: values.threads === undefined ? undefined : integer('--threads', values.threads, 1),
    steps: integer('--steps', values.steps, 1),
    rounds: integer('--rounds', values.rounds, 1),
    python: values.python === 'none' ? undefined : values.python,
    json: values.json,
    write: values.write,
  };
}
