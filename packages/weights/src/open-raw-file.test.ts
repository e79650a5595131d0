import { describe, expect, it } from 'vitest';
import * as corpus from '../test/fuzz/corpus.js';
import { expectCode } from '../test/expect-code.js';
import type { ByteSource } from './byte-source.js';
import type { WeightsErrorCode } from './errors.js';
import { openRawFile } from './open-raw-file.js';
import { memorySource } from './sources/memory-source.js';

const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

describe('openRawFile', () => {
  it.each([
    ['pth', corpus.pthFiles],
    ['safetensors', corpus.safetensorsFiles],
    ['gguf', corpus.ggufFiles],
    ['rwkv.cpp', corpus.rwkvCppFiles],
  ] as const)('knows %s by its content', async (container, files) => {
    for (const bytes of files) {
      const file = await openRawFile(memorySource(bytes, { name: 'misleading.txt' }));
      expect(file).toMatchObject({ container, name: 'misleading.txt' });
    }
  });

  it.each<[string, string, WeightsErrorCode, RegExp]>([
    ['an empty file', '', 'CONTAINER_UNKNOWN', /empty/],
    [
      'a web page',
      '<!DOCTYPE html><html><body>Not found</body></html>',
      'CONTAINER_UNKNOWN',
      /web page/,
    ],
    ['a web page after white space', '\n\n  <HTML lang="en">', 'CONTAINER_UNKNOWN', /web page/],
    ['a web page with a byte order mark', '\xef\xbb\xbf<html>', 'CONTAINER_UNKNOWN', /web page/],
    [
      'an S3 error',
      '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
      'CONTAINER_UNKNOWN',
      /web page/,
    ],
    [
      'a Git LFS pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n',
      'CONTAINER_UNKNOWN',
      /git lfs pull/,
    ],
    [
      'a JSON error',
      '{"error":"Invalid username or password."}',
      'CONTAINER_UNKNOWN',
      /weight_map/,
    ],
    [
      'a config.json',
      '{\n  "architectures": ["RWKV7ForCausalLM"]\n}',
      'CONTAINER_UNKNOWN',
      /weight_map/,
    ],
    ['a plain-text error', 'Entry not found', 'CONTAINER_UNKNOWN', /none of/],
    [
      'an old PyTorch file',
      '\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.',
      'CONTAINER_UNSUPPORTED',
      /1\.6/,
    ],
    ['a bare pickle', '\x80\x04\x95\x10', 'CONTAINER_UNSUPPORTED', /pickle/],
    ['an old GGML file', 'lmgg\x00\x00', 'CONTAINER_UNSUPPORTED', /GGML/],
    ['an old GGJT file', 'tjgg\x03\x00', 'CONTAINER_UNSUPPORTED', /GGJT/],
    ['gzip', '\x1f\x8b\x08\x00', 'CONTAINER_UNKNOWN', /gzip/],
    ['tar', 'model.pth'.padEnd(257, '\0') + 'ustar\0', 'CONTAINER_UNKNOWN', /tar/],
    ['an empty archive', 'PK\x05\x06'.padEnd(22, '\0'), 'CONTAINER_UNKNOWN', /empty ZIP/],
    ['zeros', '\0'.repeat(600), 'CONTAINER_UNKNOWN', /zeros/],
  ])('explains %s', async (_, text, code, message) => {
    await expectCode(openRawFile(memorySource(latin1(text), { name: 'model.pth' })), code, message);
    await expectCode(
      openRawFile(memorySource(latin1(text), { name: 'model.pth' })),
      code,
      /^model\.pth: /,
    );
  });

  it('takes over the source: disposed of with the file, and when opening fails', async () => {
    let disposals = 0;
    const tracked = (bytes: Uint8Array): ByteSource => ({
      ...memorySource(bytes),
      async [Symbol.asyncDispose]() {
        disposals++;
      },
    });
    await openRawFile(tracked(latin1('nothing'))).catch(() => undefined);
    expect(disposals).toBe(1);
    const file = await openRawFile(tracked(corpus.safetensorsFiles[0]!));
    expect(disposals).toBe(1);
    await file[Symbol.asyncDispose]();
    expect(disposals).toBe(2);
  });

  it('passes the signal on', async () => {
    const signal = AbortSignal.abort();
    await expectCode(openRawFile(memorySource(corpus.ggufFiles[0]!), { signal }), 'ABORTED');
    const file = await openRawFile(memorySource(corpus.pthFiles[0]!));
    await expectCode(file.tensors.get('emb.weight')!.read({ signal }), 'ABORTED');
  });
});
