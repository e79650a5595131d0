import { describe, expect, it } from 'vitest';
import { Meter } from './meter.js';
import { pictureOf } from './state-picture.js';

describe('pictureOf', () => {
  it('has a tile for every head, in the order of layers', () => {
    const blocks = new Map([
      ['blocks.0.att.shift', new Float32Array(4)],
      ['blocks.0.att.wkv', Float32Array.of(4, -1, 0, 0, 0, 0, 0, 1)],
      ['blocks.1.att.wkv', new Float32Array(8)],
    ]);
    const picture = pictureOf(blocks, 2)!;
    expect(picture).toMatchObject({ layers: 2, heads: 2, width: 2, height: 2, tile: '2 × 2' });
    expect([...picture.pixels]).toEqual([
      127,
      -63,
      0,
      0,
      0,
      0,
      0,
      64,
      ...new Array<number>(8).fill(0),
    ]);
    expect(picture.strength[0]).toBeCloseTo(Math.sqrt(17 / 4));
    expect(picture.strength[3]).toBe(0);
  });

  it('shrinks large states and keeps single strong points', () => {
    const layers = 32;
    const heads = 32;
    const blocks = new Map<string, Float32Array>();
    for (let layer = 0; layer < layers; layer++) {
      blocks.set(`blocks.${layer}.att.wkv`, new Float32Array(heads * 64 * 64));
    }
    blocks.get('blocks.31.att.wkv')![31 * 4096 + 63 * 64 + 63] = -2;
    const picture = pictureOf(blocks, heads)!;
    expect(picture.pixels.length).toBeLessThanOrEqual(1 << 18);
    expect(picture.pixels.at(-1)).toBe(-127);
    expect(picture.pixels.filter((pixel) => pixel !== 0)).toHaveLength(1);
  });

  it('shows the three vectors of v4, whose exponent starts far below', () => {
    const numbers = new Float32Array(3 * 12).fill(0.5, 0, 24).fill(-1e30, 24);
    const picture = pictureOf(new Map([['blocks.0.att.wkv', numbers]]), undefined)!;
    expect(picture).toMatchObject({ layers: 1, heads: 3, width: 4, height: 3 });
    expect([...picture.pixels.subarray(24)].every((pixel) => pixel === 0)).toBe(true);
    expect(picture.pixels[0]).toBe(127);
  });

  it('is nothing where there is no recurrent block', () => {
    expect(pictureOf(new Map(), 2)).toBeUndefined();
  });
});

it('the meter counts the time between tokens, not that before the first', () => {
  const meter = new Meter();
  expect(meter.tokensPerSecond).toBe(0);
  meter.count(5000);
  expect(meter.tokensPerSecond).toBe(0);
  meter.count(5100);
  meter.count(5200);
  expect(meter.tokensPerSecond).toBeCloseTo(10);
});
