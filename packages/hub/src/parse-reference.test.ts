import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HubError, parseReference } from './index.js';

function codeOf(text: string): string | undefined {
  try {
    parseReference(text);
    return undefined;
  } catch (error) {
    return error instanceof HubError ? error.code : String(error);
  }
}

describe('parseReference', () => {
  it.each([
    'model.pth',
    './a/b',
    '../a/b',
    '/a/b',
    '~/a/b',
    'C:\\models\\a.gguf',
    'C:/a/b',
    'models\\a',
    'a/b/c',
    'models/rwkv.pth',
    'models/rwkv.GGUF',
    '.hidden/b',
    'file:///tmp/a.pth',
    'notes: my model',
    'a b/c',
  ])('%s is a path', (text) => {
    expect(parseReference(text)).toEqual({ kind: 'path', path: text });
  });

  it.each([
    'https://example.org/a.pth',
    'http://127.0.0.1:80/a?b=c',
    'blob:https://example.org/1',
    'data:,x',
  ])('%s is a URL', (text) => {
    expect(parseReference(text)).toEqual({ kind: 'url', url: new URL(text) });
  });

  it('reads repositories with file and revision', () => {
    const repository = 'BlinkDL/rwkv-7-world';
    expect(parseReference(repository)).toEqual({ kind: 'repository', repository, explicit: false });
    expect(parseReference(`hf:${repository}`)).toEqual({
      kind: 'repository',
      repository,
      explicit: true,
    });
    expect(parseReference(`${repository}:sub/RWKV x.pth@refs/pr/1`)).toEqual({
      kind: 'repository',
      repository,
      file: 'sub/RWKV x.pth',
      revision: 'refs/pr/1',
      explicit: false,
    });
    expect(parseReference(`${repository}@v1.0`)).toMatchObject({ repository, revision: 'v1.0' });
    expect(parseReference(`HF:a/b.pth`)).toMatchObject({
      kind: 'repository',
      repository: 'a/b.pth',
    });
  });

  it.each([
    '',
    '   ',
    'hf:',
    'hf:only',
    'hf:a/b/c',
    'hf:a/b:',
    'hf:a/b:../c',
    'hf:a/b:/c',
    'hf:a/b@',
    'hf:a/b@../..',
    'a/a@x/a/',
    'hf:a/b@x//y',
    'a/b@x?y',
    'hf:a..b/c',
    'hf:a/b#c',
    'ftp://host/a',
    'https://',
    'a\0b',
  ])('refuses %j', (text) => {
    expect(codeOf(text)).toBe('REFERENCE_INVALID');
  });

  it('gives a reference or a typed error for any text, and never leaves the repository', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^(hf:)?[a-z./:@\\~-]{0,20}$/)),
        (text) => {
          const code = codeOf(text);
          expect([undefined, 'REFERENCE_INVALID']).toContain(code);
          if (code !== undefined) return;
          const parsed = parseReference(text);
          if (parsed.kind === 'repository') {
            const parts =
              `${parsed.repository}/${parsed.file ?? 'x'}/${parsed.revision ?? 'x'}`.split('/');
            expect(parts).not.toContain('..');
            expect(parts).not.toContain('');
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
