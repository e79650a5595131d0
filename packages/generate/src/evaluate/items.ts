/**
 * Items of an evaluation out of the objects that data sets consist of, under the field names and with the prompts of
 * lm-evaluation-harness (its tasks `lambada_openai`, `hellaswag`, `piqa`, `arc_easy`, `arc_challenge`, `sciq`,
 * `winogrande`), without examples in front.
 */
import { GenerateError } from '../errors.js';

/** A text that is predicted as a whole. */
export interface TextItem {
  readonly kind: 'text';
  readonly text: string;
}

/** A text whose last word is predicted. */
export interface LastWordItem {
  readonly kind: 'last-word';
  readonly context: string;
  readonly continuation: string;
}

/** A question with answers, of which one is right. */
export interface ChoiceItem {
  readonly kind: 'choice';
  readonly options: readonly ChoiceOption[];
  /** Which of them is right. */
  readonly gold: number;
}

export interface ChoiceOption {
  readonly context: string;
  readonly continuation: string;
  /** Characters (code points) of the answer alone, which `acc_norm` divides by. */
  readonly length: number;
}

export type EvaluationItem = TextItem | LastWordItem | ChoiceItem;

export type EvaluationKind = EvaluationItem['kind'];

/** Between a question and an answer. */
const delimiter = ' ';

type Fields = Readonly<Record<string, unknown>>;

/**
 * The item that a line of JSONL is.
 *
 * - `text`: `{text}` or a string.
 * - `last-word`: `{text}` or a string; the word behind its last blank is predicted, with the blank.
 * - `choice`, told by the fields: hellaswag `{activity_label, ctx_a, ctx_b, endings, label}`; piqa `{goal, sol1, sol2,
 *   label}`; arc `{question, choices: {text, label}, answerKey}`; sciq `{support, question, distractor1, distractor2,
 *   distractor3, correct_answer}`; winogrande `{sentence, option1, option2, answer}`; anything else `{query | question |
 *   ctx, choices, gold | label | answer}`, whose prompt is the first of these as it stands, and whose answer is an index
 *   from 0, one of the choices, or a letter from A.
 *
 * @param place for errors, such as `hellaswag.jsonl: line 7`
 * @throws GenerateError `EVALUATION_INVALID`
 */
export function evaluationItem(
  value: unknown,
  kind: EvaluationKind,
  place: string,
): EvaluationItem {
  const fields = typeof value === 'string' ? { text: value } : (value as Fields | null);
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    throw itemInvalid(place, 'an object', Array.isArray(value) ? 'a list' : String(value));
  if (kind === 'choice') return choiceItem(fields, place);
  const text = stringOf(fields, 'text', place);
  return kind === 'text' ? { kind, text } : lastWordItem(text, place);
}

function lastWordItem(text: string, place: string): LastWordItem {
  const blank = text.lastIndexOf(' ');
  if (blank < 0) throw itemInvalid(place, 'a text with a blank before its last word', 'one word');
  return { kind: 'last-word', context: text.slice(0, blank), continuation: text.slice(blank) };
}

function choiceItem(fields: Fields, place: string): ChoiceItem {
  const item = shapes.find(({ isOne }) => isOne(fields))?.read(fields, place);
  if (item === undefined)
    throw itemInvalid(
      place,
      'the fields of hellaswag, piqa, arc, sciq or winogrande, or query (question, ctx), choices and gold (label, answer)',
      `the fields ${Object.keys(fields).join(', ')}`.slice(0, 200),
    );
  if (item.options.length < 2)
    throw itemInvalid(place, 'two choices at least', String(item.options.length));
  if (item.options[item.gold] === undefined)
    throw itemInvalid(
      place,
      `an answer from 0 to ${item.options.length - 1}; test sets without answers cannot be scored`,
      String(item.gold),
    );
  return item;
}

interface Shape {
  readonly isOne: (fields: Fields) => boolean;
  readonly read: (fields: Fields, place: string) => ChoiceItem;
}

const has = (fields: Fields, ...names: string[]) => names.every((name) => name in fields);

const shapes: readonly Shape[] = [
  {
    isOne: (fields) => has(fields, 'ctx_a', 'ctx_b', 'endings'),
    read(fields, place) {
      const [activity, first, second] = ['activity_label', 'ctx_a', 'ctx_b'].map((name) =>
        stringOf(fields, name, place),
      ) as [string, string, string];
      const question = withoutMarks(`${activity}: ${first} ${capitalised(second)}`);
      const endings = stringsOf(fields, 'endings', place).map(withoutMarks);
      return answers(question, endings, answerOf(fields, ['label'], { choices: endings, place }));
    },
  },
  {
    isOne: (fields) => has(fields, 'goal', 'sol1', 'sol2'),
    read(fields, place) {
      const choices = ['sol1', 'sol2'].map((name) => stringOf(fields, name, place));
      const question = `Question: ${stringOf(fields, 'goal', place)}\nAnswer:`;
      return answers(question, choices, answerOf(fields, ['label'], { choices, place }));
    },
  },
  {
    isOne: (fields) =>
      has(fields, 'answerKey') && has(asFields(fields['choices']), 'text', 'label'),
    read(fields, place) {
      const { choices } = fields;
      const labels = stringsOf(asFields(choices), 'label', place);
      const question = `Question: ${stringOf(fields, 'question', place)}\nAnswer:`;
      const gold = labels.indexOf(stringOf(fields, 'answerKey', place));
      return answers(question, stringsOf(asFields(choices), 'text', place), gold);
    },
  },
  {
    isOne: (fields) => has(fields, 'distractor1', 'correct_answer'),
    read(fields, place) {
      const support = stringOf(fields, 'support', place).trimStart();
      const choices = ['distractor1', 'distractor2', 'distractor3', 'correct_answer'].map((name) =>
        stringOf(fields, name, place),
      );
      const question = `${support}\nQuestion: ${stringOf(fields, 'question', place)}\nAnswer:`;
      return answers(question, choices, 3);
    },
  },
  { isOne: (fields) => has(fields, 'sentence', 'option1', 'option2'), read: winogrande },
  {
    isOne: (fields) => questionField(fields) !== undefined && has(fields, 'choices'),
    read(fields, place) {
      const choices = stringsOf(fields, 'choices', place);
      const question = stringOf(fields, questionField(fields)!, place);
      const gold = answerOf(fields, ['gold', 'label', 'answer'], { choices, place });
      return answers(question, choices, gold);
    },
  },
];

function questionField(fields: Fields): string | undefined {
  return ['query', 'question', 'ctx'].find((name) => name in fields);
}

/** The other way round: what is filled in differs, and the end of the sentence is predicted behind each. */
function winogrande(fields: Fields, place: string): ChoiceItem {
  const sentence = stringOf(fields, 'sentence', place);
  const gap = sentence.indexOf('_');
  if (gap < 0) throw itemInvalid(place, 'a sentence with a gap, _', sentence.slice(0, 60));
  const end = sentence.slice(gap + 1).trim();
  const options = ['option1', 'option2'].map((name) => ({
    context: sentence.slice(0, gap) + stringOf(fields, name, place),
    continuation: delimiter + end,
    length: characters(end),
  }));
  // It counts from 1.
  const gold = ['1', '2'].indexOf(String(fields['answer']));
  return { kind: 'choice', options, gold };
}

function answers(question: string, choices: readonly string[], gold: number): ChoiceItem {
  const options = choices.map((choice) => ({
    context: question,
    continuation: delimiter + choice,
    length: characters(choice),
  }));
  return { kind: 'choice', options, gold };
}

/** @returns -1 where there is no answer */
function answerOf(
  fields: Fields,
  names: readonly string[],
  { choices, place }: { choices: readonly string[]; place: string },
): number {
  const name = names.find((each) => each in fields);
  if (name === undefined) throw itemInvalid(place, `the field ${names.join(' or ')}`, 'none of it');
  const answer = fields[name];
  if (typeof answer === 'number') return answer;
  if (typeof answer !== 'string')
    throw itemInvalid(place, `${name} as a number or a string`, String(answer));
  const same = choices.indexOf(answer);
  if (same >= 0) return same;
  if (/^[A-Z]$/.test(answer)) return answer.charCodeAt(0) - 65;
  return /^\d+$/.test(answer) ? Number(answer) : -1;
}

/** What WikiHow left in hellaswag. */
function withoutMarks(text: string): string {
  return text
    .trim()
    .replaceAll(' [title]', '. ')
    .replace(/\[.*?\]/g, '')
    .replaceAll('  ', ' ');
}

/** As Python's `capitalize`: the first character large, the others small. */
function capitalised(text: string): string {
  const [first = '', ...rest] = Array.from(text);
  return first.toUpperCase() + rest.join('').toLowerCase();
}

function characters(text: string): number {
  return Array.from(text).length;
}

function asFields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function stringOf(fields: Fields, name: string, place: string): string {
  const value = fields[name];
  if (typeof value === 'string') return value;
  throw itemInvalid(
    place,
    `${name} as a string`,
    value === undefined ? 'no such field' : typeof value,
  );
}

function stringsOf(fields: Fields, name: string, place: string): readonly string[] {
  const value = fields[name];
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw itemInvalid(
    place,
    `${name} as a list of strings`,
    value === undefined ? 'no such field' : typeof value,
  );
}

export function itemInvalid(place: string, expected: string, got: string): GenerateError {
  return new GenerateError({
    code: 'EVALUATION_INVALID',
    message: `${place}: expected ${expected}, got ${got}`,
    expected,
    got,
  });
}
