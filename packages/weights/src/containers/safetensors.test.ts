import { describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { countingSource } from '../../test/fuzz/check-input.js';
import { ByteWriter } from '../../test/writers/byte-writer.js';
import { patternTensor, safetensorsOf, writeSafetensorsRaw } from '../../test/writers/index.js';
import { memorySource } from '../sources/memory-source.js';
import { limits } from './limits.js';
import { openSafetensors } from './safetensors.js';

const open = (bytes: Uint8Array) => openSafetensors(memorySource(bytes, { name: 'a.safetensors' }));
const header = (text: string, bytes = 8) => open(safetensorsOf(text, [new Uint8Array(bytes)]));

describe('safetensors', () => {
  const formats = ['f64', 'f32', 'f16', 'bf16', 'i64', 'i32', 'i16', 'i8', 'u8', 'bool'] as const;
  const tensors = [
    ...formats.map((format) => patternTensor(format, [2, 3], format)),
    patternTensor('scalar', [], 'f32'),
    patternTensor('none', [4, 0], 'f32'),
    patternTensor('"quoted" \u{1f600}', [1], 'f32'),
    patternTensor('__proto__', [2], 'f32'),
  ];

  it('reads every dtype, empty tensors, scalars and odd names', async () => {
    const file = await open(writeSafetensorsRaw({ tensors, metadata: { format: 'pt' } }));
    expect(file.metadata).toEqual(new Map([['format', 'pt']]));
    expect(file.tensors.size).toBe(tensors.length);
    for (const { name, shape, format, bytes } of tensors) {
      const tensor = file.tensors.get(name)!;
      expect(tensor).toMatchObject({ name, shape, format });
      expect(await tensor.read()).toEqual(bytes);
    }
  });

  it('reads headers only when it opens', async () => {
    const large = patternTensor('large', [1024, 1024], 'f32');
    const source = countingSource(writeSafetensorsRaw({ tensors: [large] }));
    await openSafetensors(source);
    expect(source.requested).toBeLessThanOrEqual(64 * 1024);
  });

  it('lists tensors in the order of their bytes', async () => {
    const file = await header(
      '{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    );
    expect([...file.tensors.keys()]).toEqual(['a', 'b']);
  });

  const info = (rest: string) => `{"t":{${rest}}}`;
  it.each([
    [
      'a key twice',
      '{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      /twice/,
    ],
    [
      'a field twice',
      info('"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]'),
      /twice/,
    ],
    [
      'an escaped key twice',
      '{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"\\u0074":{}}',
      /twice/,
    ],
    [
      'an overlap',
      '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      /overlaps/,
    ],
    ['a hole before', info('"dtype":"F32","shape":[1],"data_offsets":[4,8]'), /hole/],
    ['bytes behind', info('"dtype":"F32","shape":[1],"data_offsets":[0,4]'), /describes/],
    ['too few bytes', info('"dtype":"F32","shape":[3],"data_offsets":[0,8]'), undefined],
    ['a wrong size', info('"dtype":"F32","shape":[1],"data_offsets":[0,8]'), /needs 4/],
    [
      'offsets the other way round',
      info('"dtype":"F32","shape":[2],"data_offsets":[8,0]'),
      /data_offsets/,
    ],
    ['one offset', info('"dtype":"F32","shape":[2],"data_offsets":[8]'), /data_offsets/],
    ['a negative size', info('"dtype":"F32","shape":[-2],"data_offsets":[0,8]'), /shape/],
    ['a fraction', info('"dtype":"F32","shape":[1.5],"data_offsets":[0,8]'), /shape/],
    [
      'sizes whose product overflows',
      info('"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]'),
      /too many/,
    ],
    [
      'sizes whose product wraps to 2',
      info('"dtype":"F32","shape":[9007199254740991,9007199254740991,2],"data_offsets":[0,8]'),
      /too many/,
    ],
    [
      'many dimensions',
      info('"dtype":"I8","shape":[1,1,1,1,1,1,1,1,8],"data_offsets":[0,8]'),
      /dimensions/,
    ],
    ['no dtype', info('"shape":[2],"data_offsets":[0,8]'), /dtype/],
    ['a tensor that is a number', '{"t":8}', /object/],
    ['an array', '[]', /object/],
    ['depth', '['.repeat(5000), /nested/],
    ['text behind', '{} {}', /broken/],
    ['no end', '{"t":', /broken/],
    ['control characters', '{"a\n":1}', /broken/],
    ['a broken escape', '{"\\x":1}', /broken/],
  ] as const)('refuses %s', async (_, text, message) => {
    const work = header(text);
    if (message === undefined)
      await expect(work).rejects.toMatchObject({
        code: expect.stringMatching(/READ_OUT|INVALID/) as string,
      });
    else await expectCode(work, 'CONTAINER_INVALID', message);
  });

  it.each(['1', '{"a":1}', 'null'])('refuses the metadata %s', async (metadata) => {
    await expectCode(
      header(`{"__metadata__":${metadata}}`, 0),
      'CONTAINER_INVALID',
      /__metadata__/,
    );
  });

  it.each(['F8_E4M3', 'F8_E5M2', 'F4', 'C64', 'f32', 'constructor'])(
    'refuses the dtype %s by name',
    async (dtype) => {
      await expectCode(
        header(info(`"dtype":"${dtype}","shape":[8],"data_offsets":[0,8]`)),
        'CONTAINER_UNSUPPORTED',
        new RegExp(dtype),
      );
    },
  );

  it('refuses names that would break the line of an error, or fill the screen', async () => {
    const named = (name: string) =>
      writeSafetensorsRaw({ tensors: [patternTensor(name, [1], 'f32')] });
    for (const name of ['a\nb', '\u001b[31mred', 'a\u0085b', 'a\u2028b'])
      await expectCode(
        open(named(name)),
        'CONTAINER_INVALID',
        /^[^\p{Cc}\u2028]*control characters/u,
      );
    const long = open(named('x'.repeat(5000)));
    await expectCode(long, 'CONTAINER_INVALID', /^.{0,200}name of 5000 characters$/);
  });

  it('refuses header lengths beyond the limit or the file, and text that is not UTF-8', async () => {
    const claiming = (length: number | bigint) =>
      open(new ByteWriter().u64(length).text('{}').finish());
    await expectCode(claiming(limits.safetensorsHeaderBytes + 1), 'CONTAINER_INVALID', /claims/);
    await expectCode(claiming(2n ** 64n - 1n), 'CONTAINER_INVALID', /claims/);
    await expectCode(claiming(3), 'READ_OUT_OF_RANGE');
    await expectCode(
      open(new ByteWriter().u64(3).text('{"').u8(0xff).finish()),
      'CONTAINER_INVALID',
      /UTF-8/,
    );
  });
});
