import { describe, expect, it } from 'vitest';
import { madeUpTokens, vocabularyText } from '../test/vocabulary.js';
import { readWorldText } from './world-text.js';
import { worldTokenizerFromText } from './world.js';

const tokens = madeUpTokens();
const text = vocabularyText(tokens);
const replaceLine = (line: string, index = 100) => {
  const lines = text.split('\n');
  lines[index] = line;
  return lines.join('\n');
};

describe('readWorldText', () => {
  it('reads what Python wrote, with either line ending, with or without the last one', () => {
    for (const variant of [text, text.replaceAll('\n', '\r\n'), text.trimEnd()]) {
      const table = readWorldText(variant);
      expect(table.size).toBe(tokens.length + 1);
      tokens.forEach((token, index) => {
        const [start, end] = [table.offsets[index + 1], table.offsets[index + 2]];
        expect(Buffer.compare(table.bytes.subarray(start, end), token)).toBe(0);
      });
    }
  });

  it.each([
    ['', /line 101 .*"id literal length"/],
    ['101', /line 101/],
    ["101 'd'", /line 101/],
    ["x 'd' 1", /line 101.*whole number/],
    ["-1 'd' 1", /line 101.*whole number/],
    ["1e2 'd' 1", /line 101.*whole number/],
    ["0 'd' 1", /line 101.*0 is the end of text/],
    ["65536 'dd' 2", /line 101.*0 to 65535, got 65536/],
    ["999999999 'dd' 2", /line 101.*65535/],
    ["9999999999999 'dd' 2", /line 101.*whole number/],
    ["101 'd' 2", /line 101.*2 bytes as the line says, got 1/],
    ["101 'é' 1", /line 101.*1 bytes as the line says, got 2/],
    ["101 '' 0", /line 101.*1 to 1024 bytes/],
    ["101 'd' x", /line 101.*whole number/],
    ["101  'd' 1", /line 101/],
    ["101 'd' 1 ", /line 101.*whole number/],
    ['101 d 1', /line 101.*literal/],
    ["101 '\\q' 1", /line 101.*escape/],
    ["101 '\\ud800' 3", /line 101.*scalar/],
    ["101 __import__('os').system('true') 1", /line 101/],
    ["100 'dd' 2", /line 101.*id 100 a second time/],
    [`101 '${'d'.repeat(20000)}' 20000`, /line 101.*at most 10243 characters/],
    [`101 '${'d'.repeat(2000)}' 2000`, /line 101.*1024 bytes, got 2000/],
  ])('refuses the line %j', (line, message) => {
    expect(() => worldTokenizerFromText(replaceLine(line))).toThrow(message);
    expect(() => worldTokenizerFromText(replaceLine(line))).toThrow(
      expect.objectContaining({ code: 'VOCABULARY_INVALID' }),
    );
  });

  it('refuses duplicate bytes and missing single bytes', () => {
    expect(() => worldTokenizerFromText(replaceLine("101 'c' 1"))).toThrow(
      /the bytes of token 100/,
    );
    expect(() => worldTokenizerFromText(replaceLine("101 'dddddd' 6"))).toThrow(
      /no token for byte 0x64/,
    );
  });

  it('refuses a vocabulary cut anywhere, as every cut loses a byte, a token or a line', () => {
    const singleBytes = text.split('\n').slice(0, 256).join('\n').length;
    for (let end = 0; end < singleBytes; end += 41)
      expect(() => worldTokenizerFromText(text.slice(0, end))).toThrow(
        expect.objectContaining({ code: 'VOCABULARY_INVALID' }),
      );
  });

  it('refuses the wrong type as a programming mistake', () => {
    expect(() => worldTokenizerFromText(new Uint8Array(3) as unknown as string)).toThrow(TypeError);
  });
});
