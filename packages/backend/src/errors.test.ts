import { describe, expect, test } from 'vitest';
import { BackendError, RwkvError } from './errors.js';

describe('RwkvError', () => {
  const error = new BackendError({
    code: 'OUT_OF_MEMORY',
    message: 'weights need 2048 bytes, 1024 are free.',
    expected: 1024,
    got: 2048,
    cause: new Error('malloc'),
  });

  test('carries code, both numbers and the cause', () => {
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', expected: 1024, got: 2048 });
    expect((error.cause as Error).message).toBe('malloc');
    expect(error.name).toBe('BackendError');
    expect(error).toBeInstanceOf(Error);
  });

  test('has no cause property when none was given', () => {
    const bare = new RwkvError({ code: 'X', message: 'x' });
    expect('cause' in bare).toBe(false);
  });

  test('isInstance recognises an error of another installed copy, and nothing else', () => {
    const copy = Object.defineProperty(new Error('other copy'), Symbol.for('@rwkv-ts/error'), {
      value: true,
    });
    expect(RwkvError.isInstance(error)).toBe(true);
    expect(RwkvError.isInstance(copy)).toBe(true);
    for (const other of [new Error('x'), null, undefined, 'text', { code: 'OUT_OF_MEMORY' }]) {
      expect(RwkvError.isInstance(other)).toBe(false);
    }
  });

  test('the marker stays out of enumeration', () => {
    expect(Object.prototype.propertyIsEnumerable.call(error, Symbol.for('@rwkv-ts/error'))).toBe(
      false,
    );
  });
});

test('disposal symbols exist once the package is imported', () => {
  expect(typeof Symbol.asyncDispose).toBe('symbol');
  expect(typeof Symbol.dispose).toBe('symbol');
});
