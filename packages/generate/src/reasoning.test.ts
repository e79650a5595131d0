import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReasoningSplitter, type SplitText } from './reasoning.js';

function split(opener: string, pieces: readonly string[]): SplitText & { chunks: SplitText[] } {
  const splitter = new ReasoningSplitter(opener);
  const chunks = [...pieces.map((piece) => splitter.push(piece)), splitter.flush()];
  return {
    reasoning: chunks.map(({ reasoning }) => reasoning).join(''),
    text: chunks.map(({ text }) => text).join(''),
    chunks,
  };
}

describe('ReasoningSplitter', () => {
  it.each([
    ['', ' Hello world \n', '', 'Hello world'],
    ['', ' <think>\nhm\n</think>\n\nYes.\n', 'hm', 'Yes.'],
    ['', '<thin ice>', '', '<thin ice>'],
    ['', ' a <think>b</think>', '', 'a <think>b</think>'],
    ['', '<think>never closed </thin', 'never closed </thin', ''],
    [' <think', '>\nfirst\n\nsecond </think> Answer', 'first\n\nsecond', 'Answer'],
    [' <think', '>hm', 'hm', ''],
    [' <think', '>', '', ''],
    [' <think>好的', ',想想</think>\n\n答案', '好的,想想', '答案'],
    [' <think>\n</think', '>\nAnswer\n\nmore', '', 'Answer\n\nmore'],
    [' <think></think', '>', '', ''],
    [' <think>\n</think>', '\n\nAnswer', '', 'Answer'],
  ])('opener %j, then %j', (opener, generated, reasoning, text) => {
    expect(split(opener, [generated])).toMatchObject({ reasoning, text });
  });

  it('does not depend on how the text is cut', () => {
    const part = fc.constantFrom(
      '<think>',
      '</think>',
      '<',
      '/think',
      '>',
      ' ',
      '\n',
      'a',
      '好',
      '😀',
      '</',
      'th',
    );
    fc.assert(
      fc.property(
        fc.constantFrom('', ' <think', ' <think>\n</think', ' <think>好的'),
        fc.array(part, { maxLength: 15 }),
        fc.array(fc.nat(5)),
        (opener, parts, lengths) => {
          const whole = parts.join('');
          const pieces: string[] = [];
          let at = 0;
          for (const length of [...lengths, whole.length]) {
            pieces.push(whole.slice(at, at + length));
            at += length;
          }
          const { reasoning, text } = split(opener, [whole]);
          expect(split(opener, pieces)).toMatchObject({ reasoning, text });
          for (const each of [reasoning, text]) expect(each).toBe(each.trim());
          expect(reasoning).not.toContain('</think>');
        },
      ),
      { numRuns: 3000 },
    );
  });
});
