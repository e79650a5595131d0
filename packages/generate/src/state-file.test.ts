import { sha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GenerateError } from './errors.js';
import { ModelState } from './model-state.js';
import { type StateFileModel, decodeState, encodeState } from './state-file.js';

const model: StateFileModel = {
  fingerprint: 'f00d',
  vocabularySize: 100,
  stateSpecs: [
    { name: 'a', shape: [2, 3], initial: 0 },
    { name: 'b', shape: [5], initial: -1e30 },
  ],
};
const payloadBytes = 44;

function snapshotOf(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

function codeOf(work: () => unknown): string {
  try {
    work();
    return 'none';
  } catch (error) {
    return error instanceof GenerateError ? error.code : String(error);
  }
}

const state = new ModelState({
  fingerprint: 'f00d',
  snapshot: snapshotOf(Array.from({ length: 11 }, (_, i) => i / 3 - 1)),
  pending: [7, 99],
  tokenCount: 20,
});

/** A file with this header and payload, and a good checksum. */
function craft(
  header: unknown,
  payload: Uint8Array = new Uint8Array(0),
  changes: { version?: number; headerLength?: number } = {},
): Uint8Array {
  const json =
    typeof header === 'string'
      ? new TextEncoder().encode(header)
      : new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(16 + json.length + payload.length + 32);
  bytes.set(new TextEncoder().encode('rwkv-ts\x1a'));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, changes.version ?? 1, true);
  view.setUint32(12, changes.headerLength ?? json.length, true);
  bytes.set(json, 16);
  bytes.set(payload, 16 + json.length);
  bytes.set(sha256(bytes.subarray(0, -32)), bytes.length - 32);
  return bytes;
}

const goodHeader = {
  fingerprint: 'f00d',
  tokenCount: 20,
  pending: [7, 99],
  blocks: model.stateSpecs.map(({ name, shape }) => ({ name, shape })),
};

describe('state files', () => {
  it('give back what was put in', () => {
    const attachment = { messages: ['é😀', 1, null] };
    const file = decodeState(encodeState(state, model, attachment), model);
    expect(file).toEqual({ state, attachment });
    expect(file.state.snapshot).toEqual(state.snapshot);
    const empty = new ModelState({
      fingerprint: 'f00d',
      snapshot: undefined,
      pending: [1],
      tokenCount: 1,
    });
    expect(decodeState(encodeState(empty, model), model).state).toEqual(empty);
    expect(decodeState(encodeState(empty, model), model).state.snapshot).toBeUndefined();
  });

  it('are the same bytes wherever they lie in memory', () => {
    const bytes = encodeState(state, model);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeState(shifted.subarray(3), model).state.snapshot).toEqual(state.snapshot);
    expect(craft(goodHeader, state.snapshot)).toEqual(bytes);
    // What Node's readFile gives; its slice() shares memory, so a copy has to be made another way.
    const file = Buffer.from(bytes);
    const read = decodeState(file, model).state;
    file.fill(0xff);
    expect(read.snapshot).toEqual(state.snapshot);
    expect(Buffer.isBuffer(read.snapshot)).toBe(false);
  });

  it('of another model are refused with both fingerprints', () => {
    const error = ((): unknown => {
      try {
        return decodeState(encodeState(state, model), { ...model, fingerprint: 'beef' });
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toMatchObject({ code: 'STATE_MISMATCH', expected: 'beef', got: 'f00d' });
    expect(codeOf(() => encodeState(state, { ...model, fingerprint: 'beef' }))).toBe(
      'STATE_MISMATCH',
    );
  });

  it('notice every cut and every changed byte', () => {
    const bytes = encodeState(state, model);
    for (let length = 0; length < bytes.length; length++) {
      expect(codeOf(() => decodeState(bytes.subarray(0, length), model))).toBe(
        'STATE_FILE_INVALID',
      );
    }
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 0x41;
      expect(codeOf(() => decodeState(changed, model))).toBe('STATE_FILE_INVALID');
    }
  });

  it.each<[string, Uint8Array]>([
    ['another version', craft(goodHeader, state.snapshot, { version: 2 })],
    [
      'a header longer than the file',
      craft(goodHeader, state.snapshot, { headerLength: 0xffffffff }),
    ],
    ['a header that is no JSON', craft('{"a"', state.snapshot)],
    ['a deep header', craft('['.repeat(200_000))],
    ['a list', craft([])],
    ['null', craft('null')],
    ['no fingerprint', craft({ ...goodHeader, fingerprint: 1 }, state.snapshot)],
    ['a token out of the vocabulary', craft({ ...goodHeader, pending: [100] }, state.snapshot)],
    ['a negative token', craft({ ...goodHeader, pending: [-1] }, state.snapshot)],
    ['more pending tokens than tokens', craft({ ...goodHeader, tokenCount: 1 }, state.snapshot)],
    [
      'a huge shape',
      craft({ ...goodHeader, blocks: [{ name: 'a', shape: [2 ** 50] }] }, state.snapshot),
    ],
    ['blocks that are no list', craft({ ...goodHeader, blocks: {} }, state.snapshot)],
    ['a block that is null', craft({ ...goodHeader, blocks: [null] }, state.snapshot)],
    [
      'blocks in another order',
      craft({ ...goodHeader, blocks: [...goodHeader.blocks].reverse() }, state.snapshot),
    ],
    ['no blocks and a payload', craft({ ...goodHeader, blocks: [] }, state.snapshot)],
    ['blocks and no payload', craft(goodHeader)],
    ['a payload cut short', craft(goodHeader, state.snapshot!.subarray(4))],
    ['NaN', craft(goodHeader, snapshotOf(Array(11).fill(NaN) as number[]))],
    ['infinity', craft(goodHeader, snapshotOf([...(Array(10).fill(0) as number[]), Infinity]))],
  ])('refuse %s', (_, bytes) => {
    expect(codeOf(() => decodeState(bytes, model))).toBe('STATE_FILE_INVALID');
  });

  it('give typed errors for any bytes and any header', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(codeOf(() => decodeState(bytes, model))).toBe('STATE_FILE_INVALID');
      }),
    );
    const anyHeader = fc.record(
      {
        fingerprint: fc.constant('f00d'),
        tokenCount: fc.jsonValue(),
        pending: fc.jsonValue(),
        blocks: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        anyHeader,
        fc.uint8Array({ minLength: payloadBytes, maxLength: payloadBytes }),
        (header, payload) => {
          expect(codeOf(() => decodeState(craft(header, payload), model))).toBe(
            'STATE_FILE_INVALID',
          );
        },
      ),
    );
  });
});
