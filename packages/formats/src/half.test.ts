import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bf16ToF32, decode, encode, f16ToF32, f32ToBf16, f32ToF16 } from './index.js';

const everyPattern = Array.from({ length: 65536 }, (_, pattern) => pattern);

/** The definition, in f64. */
function slowHalf(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >> 10) & 31;
  const mantissa = pattern & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

function slowBf16(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >> 7) & 255;
  const mantissa = pattern & 127;
  if (exponent === 255) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -133;
  return sign * (128 + mantissa) * 2 ** (exponent - 134);
}

/** Nearest of the two neighbours, ties to the even pattern, by search in the ascending patterns of one sign. */
function slowNarrow(value: number, widen: (pattern: number) => number, infinity: number): number {
  if (Number.isNaN(value)) throw new Error('not for NaN');
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  let low = 0;
  let high = infinity;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (widen(middle) <= magnitude) low = middle;
    else high = middle;
  }
  if (magnitude === Infinity) return sign | infinity;
  // Overflow is judged as if the exponent range went on: the next number would be one more step up.
  const above = high === infinity ? 2 * widen(low) - widen(low - 1) : widen(high);
  const below = magnitude - widen(low);
  const distance = above - magnitude;
  const nearer = below < distance || (below === distance && low % 2 === 0) ? low : high;
  return sign | nearer;
}

const anyFloat = fc.oneof(
  fc.float({ noNaN: true }),
  fc.float({ noNaN: true, min: -70000, max: 70000 }),
  fc.float({ noNaN: true, min: Math.fround(-1e-4), max: Math.fround(1e-4) }),
  fc.float({ noNaN: true, min: Math.fround(-1e-7), max: Math.fround(1e-7) }),
);

describe('f16', () => {
  it('widens every pattern as defined', () => {
    const wrong = everyPattern.filter((p) => !Object.is(f16ToF32(p), slowHalf(p)));
    expect(wrong).toEqual([]);
  });

  it('narrows every widened pattern back, NaN to a quiet NaN of its sign', () => {
    const wrong = everyPattern.filter((p) => {
      const isNaNPattern = (p & 0x7fff) > 0x7c00;
      const back = new Uint8Array(2);
      encode('f16', decode('f16', new Uint8Array([p, p >> 8])), back);
      return (back[0]! | (back[1]! << 8)) !== (isNaNPattern ? (p & 0x8000) | 0x7e00 : p);
    });
    expect(wrong).toEqual([]);
  });

  it('rounds every midpoint to the even neighbour, and its f32 neighbours to theirs', () => {
    const wrong: number[] = [];
    for (let p = 0; p < 0x7bff; p++) {
      const middle = (slowHalf(p) + slowHalf(p + 1)) / 2;
      const step = middle * 2 ** -23;
      if (f32ToF16(middle) !== p + (p & 1)) wrong.push(p);
      if (f32ToF16(middle - step) !== p || f32ToF16(-middle - step) !== ((p + 1) | 0x8000))
        wrong.push(p);
    }
    expect(wrong).toEqual([]);
  });

  it('agrees with a search for the nearest', () => {
    fc.assert(
      fc.property(anyFloat, (value) => {
        expect(f32ToF16(value)).toBe(slowNarrow(value, slowHalf, 0x7c00));
      }),
      { numRuns: 2000 },
    );
  });

  it('overflows at 65520', () => {
    expect(f32ToF16(65504)).toBe(0x7bff);
    expect(f32ToF16(65519.996)).toBe(0x7bff);
    expect(f32ToF16(65520)).toBe(0x7c00);
    expect(f32ToF16(-1e30)).toBe(0xfc00);
    expect(f32ToF16(NaN) & 0x7fff).toBe(0x7e00);
  });
});

describe('bf16', () => {
  it('widens every pattern as defined', () => {
    const wrong = everyPattern.filter((p) => !Object.is(bf16ToF32(p), slowBf16(p)));
    expect(wrong).toEqual([]);
  });

  it('narrows every widened pattern back, NaN made quiet', () => {
    const wrong = everyPattern.filter((p) => {
      const isNaNPattern = (p & 0x7fff) > 0x7f80;
      const back = encode('bf16', decode('bf16', new Uint8Array([p, p >> 8])));
      return (back[0]! | (back[1]! << 8)) !== (isNaNPattern ? p | 0x40 : p);
    });
    expect(wrong).toEqual([]);
  });

  it('agrees with a search for the nearest', () => {
    fc.assert(
      fc.property(anyFloat, (value) => {
        expect(f32ToBf16(value)).toBe(slowNarrow(value, slowBf16, 0x7f80));
      }),
      { numRuns: 2000 },
    );
    expect(f32ToBf16(3.4e38)).toBe(0x7f80);
    expect(f32ToBf16(1.00390625)).toBe(0x3f80);
    expect(f32ToBf16(1.01171875)).toBe(0x3f82);
  });
});
