import { describe, expect, test } from 'vitest';
import { barChart, lineChart, type LineChartOptions } from './chart.js';

const headed = { title: 'Decode 7.2b', subtitle: 'A Card <1> & driver, 2026-01-02' };
const lines: LineChartOptions = {
  ...headed,
  x: { label: 'sequences', scale: 'logarithmic' },
  y: { label: 'tokens/s', scale: 'logarithmic' },
  lines: [
    {
      name: 'f16',
      points: [
        [1, 100],
        [10, 1000],
        [100, 10_000],
      ],
    },
    {
      name: 'limit of f16',
      points: [
        [1, 200],
        [100, 20_000],
      ],
      isLimit: true,
      color: 0,
    },
  ],
};

/** The texts, without the characters that XML escapes. */
const textsOf = (svg: string): string[] =>
  [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text = '']) => text);

/** Ends of each drawn line of a colour, in pixels. */
function pathsOf(svg: string, color: string): { path: string; dashed: boolean }[] {
  const drawn = [...svg.matchAll(/<path d="([^"]+)"([^>]*)>/g)];
  return drawn
    .filter(([, , attributes = '']) => attributes.includes(`stroke="${color}"`))
    .filter(([, , attributes = '']) => attributes.includes('fill="none"'))
    .map(([, path = '', attributes = '']) => ({ path, dashed: attributes.includes('dasharray') }));
}

const numbersOf = (path: string): number[] => (path.match(/-?\d+(\.\d+)?/g) ?? []).map(Number);

describe('lineChart', () => {
  const svg = lineChart(lines);

  test('says what it shows', () => {
    expect(svg).toMatch(/^<svg [^>]*viewBox="0 0 760 460"/);
    const texts = textsOf(svg);
    const said = [
      'Decode 7.2b',
      'A Card &lt;1&gt; &amp; driver, 2026-01-02',
      'sequences',
      'tokens/s',
    ];
    expect(texts).toEqual(expect.arrayContaining([...said, 'f16', 'limit of f16', '100', '1,000']));
  });

  test('equal ratios are equal distances on logarithmic axes, and a limit is dashed', () => {
    const own = pathsOf(svg, '#0072b2').map(({ path, dashed }) => ({
      at: numbersOf(path),
      dashed,
    }));
    const measured = own.find(({ at, dashed }) => at.length === 6 && !dashed);
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, x3 = 0, y3 = 0] = measured?.at ?? [];
    expect(x2).toBeGreaterThan(x1);
    expect(y2).toBeLessThan(y1);
    // Places are rounded to a tenth.
    expect(x3 - x2).toBeCloseTo(x2 - x1, 0);
    expect(y3 - y2).toBeCloseTo(y2 - y1, 0);
    const limit = own.find(({ at, dashed }) => at.length === 4 && dashed && at[1]! !== at[3]!);
    expect(limit?.at[1]).toBeLessThan(y1);
  });

  test('is the same each time, whatever was drawn before', () => {
    barChart({
      ...headed,
      categories: ['a'],
      y: { label: 'y' },
      bars: [{ name: 'b', values: [1] }],
    });
    expect(lineChart(lines)).toBe(svg);
  });

  test('has no background and no colour that one kind of page hides', () => {
    const texts = svg.match(/<text[^>]*>/g) ?? [];
    expect(texts.length).toBeGreaterThan(5);
    expect(texts.every((text) => text.includes('fill="#808080"'))).toBe(true);
    expect(svg.match(/<rect[^>]*>/g)?.every((box) => box.includes('fill="none"'))).toBe(true);
    expect(svg).not.toMatch(/stroke="(#fff|#ffffff|white|#000|#000000|black)"/);
  });

  test('refuses what has no place on its axes', () => {
    const of = (points: [number, number][]) => () =>
      lineChart({ ...lines, lines: [{ name: 'f16', points }] });
    expect(of([])).toThrow(RangeError);
    expect(of([[0, 1]])).toThrow(/"sequences" takes numbers above 0, got 0/);
    expect(of([[1, Number.NaN]])).toThrow(/"tokens\/s" takes numbers above 0, got NaN/);
  });
});

test('bars stand in proportion, below a dashed limit, with a gap where nothing was measured', () => {
  const svg = barChart({
    ...headed,
    categories: ['0.1b, 512', '7.2b, 512'],
    y: { label: 'TFLOP/s' },
    bars: [
      { name: 'f16', values: [100, 400] },
      { name: 'q8_0', values: [undefined, 200] },
    ],
    limit: { name: 'matrix units', value: 600 },
  });
  expect(textsOf(svg)).toEqual(
    expect.arrayContaining(['0.1b, 512', '7.2b, 512', 'TFLOP/s', 'f16', 'q8_0', 'matrix units']),
  );
  const heightsOf = (color: string): number[] =>
    [...svg.matchAll(/<path d="M[\d.]+ [\d.]+l[\d.]+ 0l0 -([\d.]+)l[^"]*" fill="([^"]+)"/g)]
      .filter(([, , fill]) => fill === color)
      .map(([, height]) => Number(height));
  const [small = 0, large = 0, ...more] = heightsOf('#0072b2').toSorted((a, b) => a - b);
  expect(more).toEqual([]);
  expect(large / small).toBeCloseTo(4, 1);
  expect(heightsOf('#d55e00').length).toBe(1);
  expect(pathsOf(svg, '#808080').some(({ dashed }) => dashed)).toBe(true);
});
