import type { CoarseKind, Op, OpKind, Program } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { primitiveKinds, smallConfigs } from '../test/models.js';
import { opKinds, writesOf } from './access.js';
import { coarseKinds, lower } from './lower.js';
import { validateProgram } from './validate-program.js';

const configOf = (version: string) => {
  const config = smallConfigs.find((candidate) => candidate.version === version);
  if (!config) throw new Error(version);
  return config;
};
const kindsOf = (program: Program): Set<OpKind> => new Set(program.ops.map((op) => op.kind));

function freeze<Part>(part: Part): Part {
  if (typeof part === 'object' && part !== null) {
    for (const child of Object.values(part)) freeze(child);
    Object.freeze(part);
  }
  return part;
}

describe('lower', () => {
  it('knows every coarse kind and no primitive', () => {
    expect(new Set([...primitiveKinds, ...coarseKinds])).toEqual(opKinds);
    expect([...coarseKinds].filter((kind) => primitiveKinds.has(kind))).toEqual([]);
  });

  for (const config of smallConfigs) {
    it(`rewrites v${config.version} into valid primitives and leaves its input alone`, () => {
      const program = freeze(buildProgram(config));
      const lowered = lower(program, primitiveKinds);
      expect(() => {
        validateProgram(lowered);
      }).not.toThrow();
      expect([...kindsOf(lowered)].every((kind) => primitiveKinds.has(kind))).toBe(true);
      expect(lowered.weights).toEqual(program.weights);
      expect(lowered.output).toEqual(program.output);
      expect(lower(program, primitiveKinds)).toEqual(lowered);
      expect(lower(lowered, primitiveKinds)).toEqual(lowered);
    });
  }

  it('gives a valid program for any set of supported coarse kinds, and touches nothing supported', () => {
    const anyKinds = fc.subarray<CoarseKind>([...coarseKinds]);
    fc.assert(
      fc.property(fc.constantFrom(...smallConfigs), anyKinds, (config, kinds) => {
        const program = buildProgram(config);
        const supported = new Set<OpKind>([...primitiveKinds, ...kinds]);
        const lowered = lower(program, supported);
        validateProgram(lowered);
        expect([...kindsOf(lowered)].filter((kind) => !supported.has(kind))).toEqual([]);
        expect(lower(lowered, supported)).toEqual(lowered);
        for (const op of program.ops) {
          if (supported.has(op.kind)) expect(lowered.ops).toContain(op);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps a fully supported program as it is', () => {
    const program = buildProgram(configOf('7'));
    expect(lower(program, opKinds)).toEqual(program);
  });

  it('uses simpler coarse kinds a backend has', () => {
    const supported = new Set<OpKind>([...primitiveKinds, 'shift-mix', 'linear']);
    const lowered = lower(buildProgram(configOf('6')), supported);
    const first = lowered.ops.find((op) => op.kind === 'shift-mix');
    expect(first).toMatchObject({ toward: 'previous' });
    expect(lowered.ops.some((op) => op.kind === 'shift')).toBe(false);
  });

  it('mixes in opposite directions for v5 and v6', () => {
    const lerpOf = (version: string): Op[] =>
      lower(buildProgram(configOf(version)), primitiveKinds).ops.slice(2, 5);
    const [norm, shift, lerp] = lerpOf('5.2');
    expect(norm).toMatchObject({ kind: 'norm' });
    expect(shift).toMatchObject({ kind: 'shift' });
    const [normed, shifted] = [norm, shift].map((op) => op && writesOf(op)[0]);
    expect(lerp).toMatchObject({ kind: 'lerp', x: shifted, y: normed });
    const six = lerpOf('6');
    expect(six[2]).toMatchObject({
      kind: 'lerp',
      x: six[0] && writesOf(six[0])[0],
      y: six[1] && writesOf(six[1])[0],
    });
  });

  it('names the primitive a backend lacks', () => {
    const lacking = new Set([...primitiveKinds].filter((kind) => kind !== 'wkv7'));
    expect(() => lower(buildProgram(configOf('7')), lacking)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_OP', got: 'wkv7' }),
    );
  });

  it('names an op kind nobody knows', () => {
    const program = buildProgram(configOf('4'));
    const ops = [{ kind: 'wkv9' } as unknown as Op, ...program.ops];
    expect(() => lower({ ...program, ops }, primitiveKinds)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_OP', got: 'wkv9' }),
    );
  });
});
