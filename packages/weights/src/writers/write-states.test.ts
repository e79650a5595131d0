import { describe, expect, it } from 'vitest';
import { tinyConfig } from '../../test/random-model.js';
import { memorySink, memorySource } from '../sources/index.js';
import { openStateFile } from '../state-file.js';
import { writeStateFile } from './write-states.js';

async function written(
  version: '5.2' | '6' | '7',
  states: ReadonlyMap<string, Float32Array>,
): Promise<Uint8Array> {
  const sink = memorySink();
  await writeStateFile(states, sink, { config: tinyConfig(version) });
  return sink.bytes();
}

describe('writeStateFile', () => {
  it.each(['5.2', '6', '7'] as const)('RWKV-%s: the reader reads it back', async (version) => {
    const config = tinyConfig(version);
    const { layers, heads, headSize } = config as typeof config & {
      heads: number;
      headSize: number;
    };
    const states = new Map(
      Array.from({ length: layers }, (_, layer) => [
        `blocks.${layer}.att.wkv`,
        Float32Array.from({ length: heads * headSize ** 2 }, (_, index) => layer + index / 7),
      ]),
    );
    const source = memorySource(await written(version, states), { name: 'tuned.safetensors' });
    expect(await openStateFile(source, { config })).toEqual(states);
  });

  it('refuses what is missing', async () => {
    await expect(written('7', new Map())).rejects.toMatchObject({ code: 'STATE_FILE_INVALID' });
  });
});
