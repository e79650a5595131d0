import { expect, test } from 'vitest';
import { svgChart } from './svg-chart.js';

const options = { title: 'a < b', xLabel: 'x', yLabel: 'y' };

test('puts points in their places on a logarithmic axis', () => {
  const svg = svgChart(
    [
      {
        name: 'line',
        points: [
          [10, 0],
          [100, 5],
          [1000, 10],
        ],
      },
    ],
    options,
  );
  expect(svg).toContain('a &lt; b');
  // The plot reaches from 64 to 600 and from 252 up to 56.
  expect(svg).toContain('points="64.0,252.0 332.0,154.0 600.0,56.0"');
  expect([...svg.matchAll(/text-anchor="end">([^<]*)</g)].map((match) => match[1])).toEqual([
    '0',
    '2',
    '4',
    '6',
    '8',
    '10',
  ]);
  expect([...svg.matchAll(/text-anchor="middle">([^<]*)</g)].map((match) => match[1])).toEqual([
    '10',
    '100',
    '1,000',
    'x',
  ]);
});

test('draws a single point and zeros', () => {
  expect(svgChart([{ name: 'line', points: [[1, 0]] }], options)).not.toContain('NaN');
});
