/** What data sets become, and what becomes of results. */
import { describe, expect, it } from 'vitest';
import { encodePair, evaluationItem, type EvaluationKind, evaluationReport } from '../src/index.js';
import { testTokenizer } from './test-tokenizer.js';

const tokenizer = testTokenizer();

describe('encodePair', () => {
  it('moves white space to the continuation, and cuts the whole', () => {
    const pair = (context: string, continuation: string) => {
      const encoded = encodePair(tokenizer, { context, continuation });
      return [tokenizer.decode(encoded.context), tokenizer.decode(encoded.continuation)];
    };
    expect(pair('User:', ' answer')).toEqual(['User:', ' answer']);
    expect(pair('User: ', 'answer')).toEqual(['User:', ' answer']);
    expect(pair('User:\n\n', 'ab')).toEqual(['User:', '\n\nab']);
    expect(pair('', ' ab')).toEqual(['', ' ab']);
    // 'ab' is one token, 'abcab' is abc, ab: the harness cuts behind one token, and so loses the c.
    expect(pair('ab', 'cab')).toEqual(['ab', 'ab']);
    // 'abc' is one token as 'ab' is: nothing would be left.
    expect(pair('ab', 'c')).toEqual(['ab', 'c']);
  });
});

describe('evaluationItem', () => {
  const choice = (value: unknown) => {
    const item = evaluationItem(value, 'choice', 'file: line 1');
    if (item.kind !== 'choice') throw new Error(item.kind);
    return { gold: item.gold, options: item.options.map((each): unknown[] => Object.values(each)) };
  };

  it('reads the fields of hellaswag', () => {
    const value = {
      activity_label: 'Removing ice',
      ctx_a: 'A man [header] sits  down.',
      ctx_b: 'he IS old',
      ctx: 'unused',
      endings: ['stands up. [title] Then [x] more', ' sleeps'],
      label: '1',
    };
    const context = 'Removing ice: A man sits down. He is old';
    expect(choice(value)).toEqual({
      gold: 1,
      options: [
        [context, ' stands up.. Then more', 21],
        [context, ' sleeps', 6],
      ],
    });
  });

  it('reads the fields of piqa, arc and sciq', () => {
    expect(choice({ goal: 'Open it', sol1: 'pull', sol2: 'pushé', label: 0 })).toEqual({
      gold: 0,
      options: [
        ['Question: Open it\nAnswer:', ' pull', 4],
        ['Question: Open it\nAnswer:', ' pushé', 5],
      ],
    });
    const arc = {
      question: 'Why?',
      choices: { text: ['a', '😀'], label: ['1', '2'] },
      answerKey: '2',
    };
    expect(choice(arc)).toEqual({
      gold: 1,
      options: [
        ['Question: Why?\nAnswer:', ' a', 1],
        ['Question: Why?\nAnswer:', ' 😀', 1],
      ],
    });
    const sciq = {
      question: 'Q',
      support: ' fact',
      distractor1: 'x',
      distractor2: 'y',
      distractor3: 'z',
      correct_answer: 'w',
    };
    expect(choice(sciq).gold).toBe(3);
    expect(choice(sciq).options[3]).toEqual(['fact\nQuestion: Q\nAnswer:', ' w', 1]);
  });

  it('reads the fields of winogrande, whose contexts differ', () => {
    const value = {
      sentence: 'Ann told Eve that _ was late.',
      option1: 'Ann',
      option2: 'Eve',
      answer: '2',
    };
    expect(choice(value)).toEqual({
      gold: 1,
      options: [
        ['Ann told Eve that Ann', ' was late.', 9],
        ['Ann told Eve that Eve', ' was late.', 9],
      ],
    });
  });

  it('reads questions with choices under any of their names', () => {
    for (const question of ['query', 'question', 'ctx'])
      for (const [gold, answer] of [
        ['gold', 1],
        ['label', '1'],
        ['answer', 'B'],
        ['gold', 'no'],
      ] as const)
        expect(choice({ [question]: 'Q', choices: ['yes', 'no'], [gold]: answer })).toEqual({
          gold: 1,
          options: [
            ['Q', ' yes', 3],
            ['Q', ' no', 2],
          ],
        });
  });

  it('refuses what lacks something, and says what', () => {
    const cases: [unknown, EvaluationKind, RegExp][] = [
      [5, 'text', /^place: expected an object, got 5$/],
      [null, 'choice', /an object, got null/],
      [['a'], 'choice', /an object, got a list/],
      [{}, 'text', /text as a string, got no such field/],
      ['one', 'last-word', /a blank before its last word/],
      [{ a: 1 }, 'choice', /the fields of hellaswag, .*, got the fields a/],
      [{ query: 'q', choices: ['a'], gold: 0 }, 'choice', /two choices at least, got 1/],
      [{ query: 'q', choices: ['a', 'b'], gold: 2 }, 'choice', /an answer from 0 to 1; .*, got 2/],
      [{ query: 'q', choices: ['a', 'b'], gold: 'none' }, 'choice', /got -1/],
      [{ query: 'q', choices: ['a', 'b'] }, 'choice', /the field gold or label or answer/],
      [{ query: 'q', choices: 'ab', gold: 0 }, 'choice', /choices as a list of strings/],
      [{ query: 5, choices: ['a', 'b'], gold: 0 }, 'choice', /query as a string, got number/],
      [{ sentence: 'no gap', option1: 'a', option2: 'b', answer: '1' }, 'choice', /a gap/],
      [{ goal: 'g', sol1: 'a', sol2: 'b', label: -1 }, 'choice', /test sets without answers/],
    ];
    for (const [value, kind, message] of cases) {
      const read = () => evaluationItem(value, kind, 'place');
      expect(read).toThrow(expect.objectContaining({ code: 'EVALUATION_INVALID' }));
      expect(read).toThrow(message);
    }
  });
});

describe('evaluationReport', () => {
  it('is a table, which no name can break', () => {
    const report = evaluationReport(
      [
        {
          name: 'a|b',
          items: 3,
          tokens: 12,
          metrics: {
            acc: { value: 0.5, standardError: 0.25 },
            perplexity: { value: 3.14159, standardError: null },
          },
        },
      ],
      { Model: 'x\ny' },
    );
    expect(report).toBe(
      [
        '- Model: x y',
        '',
        '| Task | Items | Tokens | Metric | Value | Standard error |',
        '| --- | ---: | ---: | --- | ---: | ---: |',
        '| a\\|b | 3 | 12 | acc | 0.5000 | 0.2500 |',
        '| a\\|b | 3 | 12 | perplexity | 3.1416 |  |',
        '',
      ].join('\n'),
    );
  });
});
