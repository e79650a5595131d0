import { describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { patternTensor, writePth, writeSafetensorsRaw } from '../../test/writers/index.js';
import type { ByteSource } from '../byte-source.js';
import { openRawFile } from '../open-raw-file.js';
import { memorySource } from '../sources/memory-source.js';

const a = patternTensor('a', [2, 2], 'f32');
const b = patternTensor('b', [3], 'bf16');
const files = new Map([
  ['1.safetensors', writeSafetensorsRaw({ tensors: [a], metadata: { format: 'pt' } })],
  ['2.safetensors', writeSafetensorsRaw({ tensors: [b] })],
  ['1.bin', writePth({ tensors: [a] })],
  ['2.bin', writePth({ tensors: [b] })],
]);
const indexOf = (map: unknown) => JSON.stringify({ metadata: { total_size: 22 }, weight_map: map });

interface Opened {
  readonly asked: string[];
  readonly disposed: string[];
}

async function open(index: string, { asked, disposed }: Opened = { asked: [], disposed: [] }) {
  const tracked = (bytes: Uint8Array, name: string): ByteSource => ({
    ...memorySource(bytes, { name }),
    async [Symbol.asyncDispose]() {
      disposed.push(name);
    },
  });
  return openRawFile(tracked(new TextEncoder().encode(index), 'index'), {
    siblings: async (name) => {
      asked.push(name);
      return tracked(files.get(name) ?? new Uint8Array(0), name);
    },
  });
}

describe('sharded models', () => {
  it.each([
    ['safetensors', 'safetensors'],
    ['bin', 'pth'],
  ])('joins .%s shards', async (extension, container) => {
    const opened: Opened = { asked: [], disposed: [] };
    const file = await open(indexOf({ b: `2.${extension}`, a: `1.${extension}` }), opened);
    expect(file).toMatchObject({ container, name: 'index' });
    expect(await file.tensors.get('a')!.read()).toEqual(a.bytes);
    expect(await file.tensors.get('b')!.read()).toEqual(b.bytes);
    expect(opened.asked).toHaveLength(2);
    await file[Symbol.asyncDispose]();
    expect(opened.disposed.sort()).toEqual([`1.${extension}`, `2.${extension}`, 'index']);
  });

  it.each([
    '../1.safetensors',
    '/etc/passwd',
    'a/1.safetensors',
    'a\\1.safetensors',
    '..',
    '.',
    '',
    'C:1.safetensors',
    'https://example.org/1.safetensors',
    '1.safetensors?x',
    '%2e%2e%2f1.safetensors',
    'a\0b',
    '.hidden',
  ])('refuses the file name %j without asking for it', async (name) => {
    const opened: Opened = { asked: [], disposed: [] };
    await expectCode(open(indexOf({ a: name }), opened), 'CONTAINER_INVALID', /plain name/);
    expect(opened).toEqual({ asked: [], disposed: ['index'] });
  });

  it.each([
    ['a tensor that is not there', { a: '1.safetensors', b: '2.safetensors', c: '2.safetensors' }],
    ['a tensor that it does not list', { a: '1.safetensors', x: '2.safetensors' }],
    ['a tensor in another file', { a: '2.safetensors', b: '1.safetensors' }],
    ['different kinds of files', { a: '1.safetensors', b: '2.bin' }],
    ['a name that is a number', { a: 1 }],
    ['nothing', {}],
  ])('refuses an index with %s', async (_, map) => {
    const opened: Opened = { asked: [], disposed: [] };
    await expectCode(open(indexOf(map), opened), 'CONTAINER_INVALID');
    expect(opened.disposed.sort()).toEqual([...opened.asked, 'index'].sort());
  });

  it('refuses a tensor twice in the index, indexes inside of indexes, and an index alone', async () => {
    await expectCode(
      open('{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}'),
      'CONTAINER_INVALID',
      /twice/,
    );
    files.set('nested.json', new TextEncoder().encode(indexOf({ a: '1.safetensors' })));
    await expectCode(open(indexOf({ a: 'nested.json' })), 'CONTAINER_UNSUPPORTED', /siblings/);
    const alone = openRawFile(
      memorySource(new TextEncoder().encode(indexOf({ a: '1.safetensors' }))),
    );
    await expectCode(alone, 'CONTAINER_UNSUPPORTED', /siblings/);
  });
});
