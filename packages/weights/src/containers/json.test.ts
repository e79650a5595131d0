import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { parseJson } from './json.js';
import type { JsonValue } from './json.js';
import { limits } from './limits.js';

/** Maps back to plain objects, to compare with `JSON.parse`. */
function plain(value: JsonValue): unknown {
  if (value instanceof Map) {
    return Object.fromEntries(
      [...(value as ReadonlyMap<string, JsonValue>)].map(([key, item]) => [key, plain(item)]),
    );
  }
  return Array.isArray(value) ? (value as readonly JsonValue[]).map(plain) : value;
}

describe('parseJson', () => {
  it('agrees with JSON.parse on what that writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(plain(parseJson(text, 'test'))).toEqual(JSON.parse(text));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('agrees with JSON.parse on which texts are JSON', () => {
    const piece = fc.constantFrom(
      ...Array.from('{}[]",:0123456789-+.eE\\/ \n\tu00trfalsn'),
      'true',
      'null',
      '"a":',
      '\u0001',
      '\\u12',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        let accepted = true;
        try {
          JSON.parse(text);
        } catch {
          accepted = false;
        }
        const work = () => parseJson(text, 'test');
        if (accepted && !/"a":.*"a":/s.test(text)) expect(work, text).not.toThrow();
        if (!accepted) expect(work, text).toThrow(/JSON/);
      }),
      { seed: 2, numRuns: 5000 },
    );
  });

  it('bounds depth and number of values', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(() => parseJson(nested(limits.jsonDepth), 'test')).not.toThrow();
    await expectCode(() => parseJson(nested(100_000), 'test'), 'CONTAINER_INVALID', /nested/);
    const many = `[${'0,'.repeat(limits.jsonValues)}0]`;
    await expectCode(() => parseJson(many, 'test'), 'CONTAINER_INVALID', /values/);
  });
});
