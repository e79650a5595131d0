/** A snapshot as named blocks of numbers, and back. */
import type { StateSpec } from '@rwkv-ts/backend';
import { GenerateError } from './errors.js';
import { stateBytesOf } from './language-model.js';
import type { GenerateOptions } from './options.js';
import type { SequenceRequest } from './sequence.js';

/** A snapshot with the given blocks, and the initial value everywhere else. */
export function snapshotOf(
  specs: readonly StateSpec[],
  blocks: ReadonlyMap<string, Float32Array>,
): Uint8Array {
  const unknown = [...blocks.keys()].find((name) => specs.every((spec) => spec.name !== name));
  if (unknown !== undefined) throw misfit(unknown, 'a state of the model', 'none of them');
  const bytes = new Uint8Array(stateBytesOf(specs));
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const { name, shape, initial } of specs) {
    const count = shape.reduce((product, size) => product * size, 1);
    const block = blocks.get(name);
    if (block !== undefined && block.length !== count) {
      throw misfit(name, `${count} numbers`, block.length);
    }
    const perRow = count / shape[0]!;
    for (let i = 0; i < count; i++, offset += 4) {
      const reset = typeof initial === 'number' ? initial : initial[Math.floor(i / perRow)]!;
      view.setFloat32(offset, block?.[i] ?? reset, true);
    }
  }
  return bytes;
}

/** The blocks of a snapshot by name, copied; `undefined` stands for a reset state. */
export function blocksOf(
  specs: readonly StateSpec[],
  snapshot: Uint8Array | undefined,
): ReadonlyMap<string, Float32Array> {
  const bytes = snapshot ?? snapshotOf(specs, new Map());
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks = new Map<string, Float32Array>();
  let offset = 0;
  for (const { name, shape } of specs) {
    const block = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < block.length; i++, offset += 4) block[i] = view.getFloat32(offset, true);
    blocks.set(name, block);
  }
  return blocks;
}

/** What tells `onStart` of blocks, where a sequence tells of snapshots. */
export function admittedBy(
  onStart: GenerateOptions['onStart'],
  specs: readonly StateSpec[],
): SequenceRequest['admitted'] {
  if (onStart === undefined) return undefined;
  return (read) => {
    onStart(async () => {
      const snapshot = await read();
      return snapshot && blocksOf(specs, snapshot);
    });
  };
}

function misfit(name: string, expected: string, got: unknown): GenerateError {
  return new GenerateError({
    code: 'STATE_FILE_INVALID',
    message: `The state ${name} should be ${expected}, got ${String(got)}`,
    expected,
    got,
  });
}
