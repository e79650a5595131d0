import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import {
  addSettings,
  givenFlags,
  mergeSettings,
  parseSettings,
  requireSameRun,
  type TrainingCommand,
} from './settings.js';

function flags(command: TrainingCommand, ...args: string[]) {
  const program = addSettings(new Command().exitOverride(), command);
  program.configureOutput({ writeErr: () => undefined });
  return givenFlags(program.parse(args, { from: 'user' }).opts());
}
const parse = (values: unknown, command: TrainingCommand = 'train') =>
  parseSettings(values, { file: 'c.yaml', command });

describe('settings', () => {
  it('only what was given comes from flags and files, in the same form', () => {
    expect(flags('train')).toEqual({});
    const given = {
      learningRate: 6e-4,
      layers: 3,
      version: '5.2',
      stopGradientsAtCuts: true,
      samplePrompt: ['a', 'b'],
    };
    const args = ['--learning-rate', '6e-4', '--layers', '3', '--rwkv', '5.2'];
    const more = ['--stop-gradients-at-cuts', '--sample-prompt', 'a', '--sample-prompt', 'b'];
    expect(flags('train', ...args, ...more)).toEqual(given);
    expect(parse({ ...given, version: 5.2, tokenizer: null })).toEqual(given);
    expect(parse({ samplePrompt: 'a' })).toEqual({ samplePrompt: ['a'] });
  });

  it('flags win over the file, the file over what was, that over the defaults', () => {
    const merged = mergeSettings(
      [{ steps: 1, rank: 2 }, { steps: 3 }, { sequences: 5 }],
      'finetune',
    );
    expect(merged).toMatchObject({ steps: 3, rank: 2, sequences: 5, context: 256, mode: 'lora' });
    expect(merged).not.toHaveProperty('layers');
    expect(merged).not.toHaveProperty('chunk');
  });

  it('rates and decay by what learns, intervals by the length of the run', () => {
    const rate = (command: TrainingCommand, given = {}) =>
      mergeSettings([given], command).learningRate;
    expect([
      rate('train'),
      rate('finetune'),
      rate('finetune', { mode: 'full' }),
      rate('tune-state'),
    ]).toEqual([6e-4, 1e-4, 1e-5, 1e-2]);
    expect(mergeSettings([{ steps: 55 }], 'train')).toMatchObject({
      weightDecay: 1e-3,
      evaluateEvery: 5,
      checkpointEvery: 5,
    });
    expect(mergeSettings([], 'tune-state').weightDecay).toBe(0);
  });

  it.each([
    [{ layer: 3 }, "'layer' is no setting of rwkv train; there are data,"],
    [{ rank: 3 }, "'rank' is no setting of rwkv train"],
    [{ layers: 0 }, 'layers: Expected a whole number from 1 to 1024.'],
    [{ layers: [3] }, 'layers: expected a text or a number.'],
    [{ learningRate: 'fast' }, 'learningRate: Expected a number from 0'],
    [{ beta1: 1 }, 'beta1: Expected a number from 0 to below 1.'],
    [{ version: 5 }, "version: expected one of '4', '5.0', '5.1', '5.2', '6', '7'."],
    [{ stopGradientsAtCuts: 'yes' }, 'stopGradientsAtCuts: expected true or false.'],
    [{ samplePrompt: [1] }, 'samplePrompt: expected texts.'],
    ['text', "expected keys with values, such as 'steps: 1000'."],
    [undefined, 'expected keys with values'],
  ])('%o is refused, by its name', (values, message) => {
    expect(() => parse(values)).toThrow(`c.yaml: ${message}`);
  });

  it('a run that goes on keeps what makes it the run it was', () => {
    const before = { channels: 32, steps: 10, targets: ['att.key'] };
    expect(() => {
      requireSameRun(before, { channels: 32, steps: 20, targets: ['att.key'], layers: 2 });
    }).not.toThrow();
    expect(() => {
      requireSameRun(before, { channels: 64 });
    }).toThrow('--channels of this run is 32; with 64 it would be another run');
    expect(() => {
      requireSameRun({ version: '7' }, { version: '6' });
    }).toThrow('--rwkv of this run');
  });
});
