import type { Op, OpKind, OpOf, Program, Value } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import { primitiveKinds, smallConfigs } from '../test/models.js';
import { readsOf, stateOf, weightsOf, writesOf } from './access.js';
import { lower } from './lower.js';
import { validateProgram } from './validate-program.js';

const programs = smallConfigs.flatMap((config) => {
  const program = buildProgram(config);
  return [
    { title: `v${config.version}`, program },
    { title: `v${config.version} lowered`, program: lower(program, primitiveKinds) },
  ];
});
programs.push({
  title: 'v7 with candidates',
  program: buildProgram(
    smallConfigs.find(({ version }) => version === '7')!,
    { candidates: 5 },
  ),
});
const programOf = (title: string): Program => {
  const found = programs.find((entry) => entry.title === title);
  if (!found) throw new Error(title);
  return found.program;
};
const expectInvalid = (program: Program, message?: RegExp): void => {
  expect(() => {
    validateProgram(program);
  }).toThrow(
    expect.objectContaining({
      code: 'PROGRAM_INVALID',
      ...(message ? { message: expect.stringMatching(message) as string } : {}),
    }),
  );
};

/** The program with the first op of a kind changed. */
function withOp<Kind extends OpKind>(
  program: Program,
  kind: Kind,
  change: (op: OpOf<Kind>) => Partial<OpOf<Kind>>,
): Program {
  const at = program.ops.findIndex((op) => op.kind === kind);
  const ops = [...program.ops];
  const op = ops[at] as OpOf<Kind>;
  ops[at] = { ...op, ...change(op) };
  return { ...program, ops };
}
const wider = (value: Value): Value => ({ ...value, width: value.width + 1 });

describe('validateProgram', () => {
  it.each(programs)('accepts $title, also after a trip through JSON', ({ program }) => {
    validateProgram(program);
    validateProgram(JSON.parse(JSON.stringify(program)) as Program);
  });

  describe.each(programs)('in $title', ({ program }) => {
    it('rejects any weight of another shape', () => {
      for (const [at, { name, shape }] of program.weights.entries()) {
        // A table may have any number of rows, so the last size is the one to change.
        const changed = [...shape.slice(0, -1), (shape.at(-1) ?? 0) + 1];
        const weights = program.weights.with(at, { name, shape: changed });
        expectInvalid({ ...program, weights });
      }
    });

    it('rejects any state of another shape', () => {
      for (const [at, spec] of program.states.entries()) {
        const shape = [...spec.shape.slice(0, -1), (spec.shape.at(-1) ?? 0) + 1];
        expectInvalid({ ...program, states: program.states.with(at, { ...spec, shape }) });
      }
    });

    it('rejects any unlisted or unused weight and state', () => {
      for (const list of ['weights', 'states'] as const) {
        for (let at = 0; at < program[list].length; at++) {
          expectInvalid({ ...program, [list]: program[list].toSpliced(at, 1) }, /unlisted/);
        }
        const extra = { name: 'extra', shape: [1], initial: 0 };
        expectInvalid({ ...program, [list]: [...program[list], extra] }, /extra.*named by none/);
        const [first] = program[list];
        expectInvalid({ ...program, [list]: [...program[list], first] }, /listed twice/);
      }
    });

    it('rejects the program without any one of its ops', () => {
      for (let at = 0; at < program.ops.length; at++) {
        expectInvalid({ ...program, ops: program.ops.toSpliced(at, 1) });
      }
    });

    it('rejects any op twice', () => {
      for (const [at, op] of program.ops.entries()) {
        expectInvalid({ ...program, ops: program.ops.toSpliced(at, 0, op) });
      }
    });

    it('rejects any op that reads or writes a value of another width or rows', () => {
      for (const [at, op] of program.ops.entries()) {
        for (const value of new Set([...readsOf(op), ...writesOf(op)])) {
          for (const change of [
            { width: value.width + 1 },
            { rows: value.rows === 'T' ? 'R' : 'T' },
            { width: 0 },
            { width: 1.5 },
            { rows: 'X' },
          ]) {
            const text = JSON.stringify(op);
            const changed = text.replaceAll(
              JSON.stringify(value),
              JSON.stringify({ ...value, ...change }),
            );
            expect(changed).not.toBe(text);
            expectInvalid({ ...program, ops: program.ops.with(at, JSON.parse(changed) as Op) });
          }
        }
      }
    });

    it('rejects an op with any required field missing', () => {
      const optional = [
        'form',
        'gate',
        'residual',
        'activation',
        'inner',
        'outer',
        'bias',
        'normed',
        'shifted',
      ];
      for (const [at, op] of program.ops.entries()) {
        for (const field of Object.keys(op).filter((name) => !optional.includes(name))) {
          const rest = Object.entries(op).filter(([name]) => name !== field);
          const changed = Object.fromEntries(rest) as unknown as Op;
          expectInvalid({ ...program, ops: program.ops.with(at, changed) });
        }
      }
    });
  });

  it('names the op, the expected and the actual size', () => {
    const program = withOp(programOf('v4'), 'matmul', (op) => ({ x: wider(op.x) }));
    const at = program.ops.findIndex((op) => op.kind === 'matmul');
    expectInvalid(program, new RegExp(`^Op ${at} \\(matmul\\): .*\\[T, 12\\], got \\[T, 13\\]`));
  });

  it('rejects a state that two ops name', () => {
    const program = programOf('v4 lowered');
    const first = program.ops.flatMap((op) => stateOf(op) ?? [])[0] ?? '';
    const at = program.ops.findLastIndex((op) => op.kind === 'shift');
    const ops = program.ops.with(at, { ...(program.ops[at] as OpOf<'shift'>), state: first });
    expectInvalid({ ...program, ops }, /named by one op/);
  });

  it('rejects initial values of the wrong number or size', () => {
    const program = programOf('v4');
    const at = program.states.findIndex(({ initial }) => typeof initial !== 'number');
    const spec = program.states[at];
    if (!spec) throw new Error('v4 has a state with several initial values');
    for (const initial of [[0, 0], [0, 0, -Infinity], [0, 0, 1e300], NaN]) {
      expectInvalid(
        { ...program, states: program.states.with(at, { ...spec, initial }) },
        /initial/,
      );
    }
  });

  it('rejects an output that is undefined, of T rows, or of another width', () => {
    const program = programOf('v7');
    const [first] = program.ops[0] ? writesOf(program.ops[0]) : [];
    if (!first) throw new Error('the first op embeds');
    expectInvalid({ ...program, output: { ...program.output, id: 9999 } }, /output/);
    expectInvalid({ ...program, output: first }, /rows of the output/);
    expectInvalid({ ...program, output: wider(program.output) }, /output/);
  });

  it('rejects candidates that are no top-k of the output, or that an op reads', () => {
    const program = programOf('v7 with candidates');
    const candidates = program.candidates!;
    const { output, ops } = program;
    expectInvalid({ ...program, candidates: output }, /candidates must be made by a top-k/);
    expectInvalid({ ...program, candidates: { ...candidates, id: 9999 } }, /candidates/);
    expectInvalid({ ...program, candidates: wider(candidates) }, /shape of the candidates/);
    expectInvalid({ ...program, candidates: null as unknown as Value }, /candidates/);
    for (const count of [0, 1.5, output.width + 1]) {
      expectInvalid(
        withOp(program, 'top-k', () => ({ count })),
        /count/,
      );
    }
    const out = { ...candidates, id: 9999 };
    const twice: Op = { kind: 'scale', out, x: candidates, factor: 2 };
    expectInvalid({ ...program, ops: [...ops, twice] }, /read by no op/);
    const of = (x: Value, id: number): Op => ({
      kind: 'top-k',
      out: { ...candidates, id },
      x,
      count: 5,
    });
    const other: Op = { kind: 'scale', out: { ...output, id: 9998 }, x: output, factor: 2 };
    expectInvalid(
      {
        ...program,
        ops: [...ops, other, of({ ...output, id: 9998 }, 9999)],
        candidates: { ...candidates, id: 9999 },
      },
      /candidates/,
    );
  });

  it('rejects numbers and names outside their range', () => {
    const lowered = programOf('v7 lowered');
    expectInvalid(
      withOp(lowered, 'norm', () => ({ eps: NaN })),
      /eps/,
    );
    expectInvalid(
      withOp(lowered, 'norm', () => ({ groups: 5 })),
      /groups.*divisor of 12, got 5/,
    );
    expectInvalid(
      withOp(lowered, 'wkv7', () => ({ heads: 4 })),
      /state/,
    );
    expectInvalid(
      withOp(lowered, 'scale', () => ({ factor: Infinity })),
      /factor/,
    );
    expectInvalid(
      withOp(lowered, 'activate', () => ({ activation: 'gelu' as 'tanh' })),
      /gelu/,
    );
    expectInvalid(
      withOp(lowered, 'embed', () => ({ by: 'row' as 'token' })),
      /by/,
    );
    expectInvalid(
      withOp(programOf('v6 lowered'), 'slice', () => ({ start: 100 })),
      /slice/,
    );
    expectInvalid(
      withOp(programOf('v6 lowered'), 'slice', () => ({ start: -1 })),
      /start/,
    );
    expectInvalid(
      withOp(programOf('v6'), 'shift-mix', () => ({ toward: 'next' as 'current' })),
      /next/,
    );
    const plain = withOp(programOf('v7'), 'linear', ({ out, x, weight }) => ({
      kind: 'linear',
      out,
      x,
      weight,
    }));
    const at = plain.ops.findIndex((op) => op.kind === 'linear');
    const { kind, out, x, weight } = plain.ops[at] as OpOf<'linear'>;
    expectInvalid({ ...plain, ops: plain.ops.with(at, { kind, out, x, weight }) }, /a part/);
    const unknown = { ...lowered, ops: lowered.ops.with(0, { kind: 'wkv9' } as unknown as Op) };
    expectInvalid(unknown, /op kind.*wkv9/);
  });

  it('lists reads, writes and weights of every op completely', () => {
    for (const { program } of programs) {
      for (const op of program.ops) {
        const text = JSON.stringify(op);
        const ids = [...text.matchAll(/"id":(\d+)/g)].map((match) => Number(match[1]));
        const listed = [...readsOf(op), ...writesOf(op)].map((value) => value.id);
        expect(new Set(listed)).toEqual(new Set(ids));
        const names = program.weights.filter(({ name }) => text.includes(`"${name}"`));
        expect(new Set(weightsOf(op))).toEqual(new Set(names.map(({ name }) => name)));
      }
    }
  });
});
