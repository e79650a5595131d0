import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decode, encode, formatInfo, formatNames, type FormatName } from '../src/index.js';
import { isWeightFormat } from '../src/formats.js';
import { decodedDigests, encodedDigests } from './digests.js';
import { testBlocks, testValues } from './inputs.js';

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Digests are of little-endian f32. */
function littleEndian(values: Float32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => {
    view.setFloat32(4 * i, value, true);
  });
  return new Uint8Array(view.buffer);
}

// GGML itself has no decoder for q8_1, which it only multiplies with; convert.test.ts checks it against q8_0.
const blockFormats = formatNames.filter(
  (name) => formatInfo(name).blockSize > 1 && name !== 'q8_1',
);

describe('GGML bit for bit', () => {
  it('has a digest for every block format', () => {
    expect(Object.keys(decodedDigests).sort()).toEqual([...blockFormats].sort());
    expect(Object.keys(encodedDigests).sort()).toEqual(
      blockFormats.filter((name) => formatInfo(name).encodable).sort(),
    );
  });

  it.each(blockFormats)('decodes %s', (name) => {
    expect(digest(littleEndian(decode(name, testBlocks(name))))).toBe(decodedDigests[name]);
  });

  it.each(Object.keys(encodedDigests) as FormatName[])('encodes %s', (name) => {
    if (!isWeightFormat(name)) throw new Error(`${name} is not encodable`);
    expect(digest(encode(name, testValues()))).toBe(encodedDigests[name]);
  });

  it.each(blockFormats)('decodes %s at an odd address', (name) => {
    const blocks = testBlocks(name);
    const moved = new Uint8Array(blocks.length + 3).subarray(3);
    moved.set(blocks);
    expect(digest(littleEndian(decode(name, moved)))).toBe(decodedDigests[name]);
  });
});
