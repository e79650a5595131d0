import { describe, expect, it } from 'vitest';
import { openRawFile } from '../open-raw-file.js';
import { memorySink, memorySource } from '../sources/index.js';
import { type TensorToWrite, writeTensors } from './write-tensors.js';

const tensor = (
  name: string,
  values: Float32Array | Float64Array,
  shape: readonly number[] = [values.length],
): TensorToWrite => ({
  name,
  shape,
  format: values instanceof Float64Array ? 'f64' : 'f32',
  read: async () => new Uint8Array(values.buffer.slice(0)),
});

async function written(tensors: readonly TensorToWrite[]): Promise<Uint8Array> {
  const sink = memorySink();
  await writeTensors(tensors, sink, { metadata: { kind: 'test' } });
  return sink.bytes();
}

describe('writeTensors', () => {
  it('writes what the container reader reads', async () => {
    const [narrow, wide] = [
      Float32Array.of(1, -0, 1e-40, 3, 4, 5),
      Float64Array.of(Math.PI, 1e300),
    ];
    const bytes = await written([tensor('a', narrow, [2, 3]), tensor('b', wide)]);
    await using file = await openRawFile(memorySource(bytes));
    expect(file.container).toBe('safetensors');
    expect(file.metadata.get('kind')).toBe('test');
    expect(file.tensors.get('a')).toMatchObject({ shape: [2, 3], format: 'f32' });
    expect(file.tensors.get('b')).toMatchObject({ shape: [2], format: 'f64' });
    const a = await file.tensors.get('a')!.read();
    expect(new Float32Array(a.buffer, a.byteOffset, 6)).toEqual(narrow);
    const b = await file.tensors.get('b')!.read();
    expect(new Float64Array(b.slice().buffer)).toEqual(wide);
  });

  it('takes one tensor at a time', async () => {
    const order: string[] = [];
    const slow = (name: string): TensorToWrite => ({
      ...tensor(name, Float32Array.of(1)),
      read: async () => {
        order.push(`${name} begins`);
        await Promise.resolve();
        order.push(`${name} ends`);
        return new Uint8Array(4);
      },
    });
    await written([slow('a'), slow('b')]);
    expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  it('refuses a name twice and bytes that do not fit', async () => {
    const one = tensor('a', Float32Array.of(1));
    await expect(written([one, one])).rejects.toThrow(TypeError);
    await expect(written([{ ...one, shape: [2] }])).rejects.toThrow(/8 bytes, got 4/);
  });
});
