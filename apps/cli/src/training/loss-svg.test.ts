import { expect, it } from 'vitest';
import { lossSvg } from './loss-svg.js';

const points = (count: number, loss = (step: number) => 1 + 4 / step) =>
  Array.from({ length: count }, (_, index) => ({ step: index + 1, loss: loss(index + 1) }));
const lines = (svg: string): string[] =>
  [...svg.matchAll(/points="([^"]*)"/g)].map(([, at]) => at!);

it('draws losses, their mean and held-out losses inside the frame', () => {
  const svg = lossSvg({ title: 'a <b>', training: points(50), heldOut: points(3) });
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="720" height="400"/);
  expect(svg).toContain('a &#60;b&#62;');
  expect(lines(svg).map((line) => line.split(' ').length)).toEqual([50, 50, 3]);
  for (const pair of lines(svg).join(' ').split(' ')) {
    const [x, y] = pair.split(',').map(Number) as [number, number];
    expect(x >= 56 && x <= 704 && y >= 32 && y <= 360, pair).toBe(true);
  }
  // The first loss is the highest, at the left; the last at the right.
  expect(lines(svg)[0]).toMatch(/^56\.0,32\.0 .* 704\.0,/);
  expect(svg).toContain('>2</text>');
});

it('thins long runs, and takes any numbers', () => {
  const long = lossSvg({ title: '', training: points(5432), heldOut: [] });
  expect(lines(long)[0]!.split(' ').length).toBeLessThanOrEqual(1000);
  const odd = [
    { step: 1, loss: 2 },
    { step: 2, loss: Number.NaN },
    { step: 3, loss: 2 },
  ];
  for (const training of [[], odd.slice(0, 1), odd]) {
    expect(lossSvg({ title: '', training, heldOut: [] })).not.toMatch(/NaN|Infinity/);
  }
});
