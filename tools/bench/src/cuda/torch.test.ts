/** The PyTorch peer computes the model, and speaks the protocol; on the CPU, where a PyTorch is installed. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRandomWeights } from '@rwkv-ts/backend-kit';
import { configOf } from '@rwkv-ts/fixtures/shapes';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { writeSafetensors } from '@rwkv-ts/weights';
import { fileSink } from '@rwkv-ts/weights/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { execute } from '../common/execute.js';
import { runPeer } from './peer.js';
import { torchPeer } from './torch.js';

const script = fileURLToPath(new URL('../../native/rwkv7_torch_cuda.py', import.meta.url));
const config = configOf('7', 'tiny');
const built = buildProgram(config);
const weights = createRandomWeights(built, { seed: 5 });
const sequences = [
  [1, 2, 3, 96, 0, 7, 7],
  [40, 96, 5, 5, 11, 0, 3],
  [9, 8, 7, 6, 5, 4, 3],
];

function hasTorch(python: string): boolean {
  try {
    execFileSync(python, ['-c', 'import torch'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
const candidates = ['python3', '/usr/bin/python3'];
const found = candidates.find(hasTorch);
const python = found ?? 'python3';
const title = found ? 'PyTorch' : `PyTorch (skipped: none of ${candidates.join(', ')} has torch)`;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'torch-peer-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** The reference's logits of each sequence's last token, in f64. */
async function expectedLogits(): Promise<number[][]> {
  await using backend = createReferenceBackend({ precision: 'f64' });
  const program = lower(built, backend.supports.ops);
  await using uploaded = await backend.upload(source(), { program });
  await using states = await backend.createStates(program.states, 1);
  const length = sequences[0]!.length;
  const limits = { tokens: length, sequences: 1, wanted: 1 };
  await using executable = await backend.compile(program, { weights: uploaded, states }, limits);
  const rows: number[][] = [];
  for (const tokens of sequences) {
    states.reset(0);
    const output = await executable.run({
      tokens: Uint32Array.from(tokens),
      starts: Uint32Array.of(0, length),
      slots: Uint32Array.of(0),
      wanted: Uint32Array.of(length - 1),
    });
    rows.push([...output]);
  }
  return rows;
}

async function* source() {
  for (const weight of weights) yield { ...weight, bytes: weight.bytes.slice() };
}

async function writeModel(): Promise<string> {
  const path = join(folder, 'tiny.safetensors');
  const model = { config, tensors: weights, weights: source };
  await using sink = await fileSink(path);
  await writeSafetensors(model, sink, { layout: 'official', format: 'f32' });
  return path;
}

function largestDifference(got: readonly number[][], expected: readonly number[][]): number {
  expect(got.map((row) => row.length)).toEqual(expected.map((row) => row.length));
  const differences = got.flatMap((row, index) =>
    row.map((value, column) => Math.abs(value - expected[index]![column]!)),
  );
  return differences.every(Number.isFinite) ? Math.max(...differences) : Infinity;
}

describe.skipIf(!found)(title, () => {
  test('has the logits of the reference, as prompts and in a batch of decode steps', async () => {
    const { output, errors, status } = await execute([
      ...[python, script, '--device', 'cpu', '--format', 'f32'],
      ...['--config', JSON.stringify(config), '--weights', await writeModel()],
      ...['--sequences', sequences.map((tokens) => tokens.join(',')).join(';')],
    ]);
    expect(status, errors).toBe('0');
    const got = JSON.parse(output) as { prefill: number[][]; decode: number[][] };
    const expected = await expectedLogits();
    expect(Math.max(...expected.flat().map(Math.abs))).toBeGreaterThan(1);
    expect(largestDifference(got.prefill, expected)).toBeLessThan(1e-4);
    expect(largestDifference(got.decode, expected)).toBeLessThan(1e-4);
  }, 60_000);

  test('prints a rate for every test, and none for formats that PyTorch does not compute in', async () => {
    const command = [python, script, '--device', 'cpu'];
    const task = { shape: 'tiny', batch: [1, 3], prefill: [5], seconds: 0.01 } as const;
    const { engine, rates, failure } = await runPeer(command, { ...task, format: 'f32' });
    expect(failure).toBeUndefined();
    expect(engine).toMatch(/^PyTorch \d.*, plain batched steps$/);
    expect([...rates.keys()]).toEqual(['decode 1', 'decode 3', 'prefill 5']);
    const blocks = await runPeer(command, { ...task, format: 'q8_0' });
    expect(blocks.failure).toBeUndefined();
    expect(blocks.rates.size).toBe(0);
  }, 60_000);
});

describe('torchPeer', () => {
  const choice = { device: 2, script: 'peer.py', folder: '/weights' };

  test('is the script on the same device, where torch sees a GPU', async () => {
    const { command, absence } = await torchPeer({ ...choice, python: 'true' });
    expect(command).toEqual(['true', 'peer.py', '--device', 'cuda:2', '--folder', '/weights']);
    expect(absence).toBeUndefined();
  });

  test('says why there is none', async () => {
    expect(await torchPeer({ ...choice, python: 'false' })).toEqual({
      command: [],
      absence: 'false: 1',
    });
    const nowhere = await torchPeer({ ...choice, python: '/nowhere/python' });
    expect(nowhere.absence).toContain('/nowhere/python');
    const none = await torchPeer({ ...choice, python: 'none' });
    expect(none.absence).toContain('--python none');
  });
});
