import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatDay, formatSpeed } from '../format.js';
import { Markdown } from './markdown.js';
import { gridOf, sizeOf, tileAt } from './paint-state.js';

const html = (text: string): string => renderToStaticMarkup(createElement(Markdown, { text }));

describe('Markdown', () => {
  it('is formatted', () => {
    const shown = html('# One\n\n*two* `three`\n\n| a | b |\n|---|---|\n| c | d |');
    for (const tag of ['<h1>One', '<em>two', '<code>three', '<td>c']) expect(shown).toContain(tag);
  });

  it.each([
    ['<script>alert(1)</script>', 'script'],
    ['<img src="https://example.org/x.png" onerror="alert(1)">', '<img'],
    ['![pixel](https://example.org/track?secret)', 'example.org'],
    ['[click](javascript:alert(1))', 'javascript:'],
    ['[click](data:text/html,hello)', 'data:'],
    ['<iframe src="https://example.org"></iframe>', '<iframe'],
    ['<a href="https://example.org" onclick="alert(1)">x</a>', '<a'],
    ['<style>body{display:none}</style>', '<style'],
  ])('%s does nothing', (text, forbidden) => {
    expect(html(text)).not.toContain(forbidden);
  });

  it('links lead out of the page and tell nothing', () => {
    expect(html('[x](https://example.org)')).toContain(
      'target="_blank" rel="noopener noreferrer nofollow"',
    );
  });

  it('takes half a text as it comes', () => {
    expect(html('```js\nconst a = 1')).toContain('const a = 1');
    expect(html('a **b')).toContain('a **b');
  });
});

describe('numbers', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [135_168, '132 KB'],
    [4_823_449, '4.60 MB'],
    [3_000_000_000, '2.79 GB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it('speeds and days', () => {
    expect(formatSpeed(8.54)).toBe('8.5 tokens/s');
    expect(formatSpeed(85.4)).toBe('85 tokens/s');
    const now = new Date(2026, 4, 20, 9).getTime();
    expect(formatDay(new Date(2026, 4, 20, 1).getTime(), now)).toBe('today');
    expect(formatDay(new Date(2026, 4, 19, 23).getTime(), now)).toBe('yesterday');
    expect(formatDay(new Date(2026, 4, 1).getTime(), now)).toBe('May 1');
  });
});

describe('the picture of a state', () => {
  it('has a row for each layer and finds the tile under a place', () => {
    const picture = { layers: 24, heads: 32 };
    expect(gridOf(picture)).toEqual({ columns: 32, rows: 24 });
    expect(tileAt(picture, { x: 0, y: 0 })).toEqual({ layer: 0, head: 0 });
    expect(tileAt(picture, { x: 1, y: 1 })).toEqual({ layer: 23, head: 31 });
    expect(tileAt(picture, { x: 0.5, y: 0.5 })).toEqual({ layer: 12, head: 16 });
    expect(sizeOf({ ...picture, width: 16, height: 8 })).toEqual({
      width: 32 * 18 - 2,
      height: 24 * 10 - 2,
    });
  });
});
