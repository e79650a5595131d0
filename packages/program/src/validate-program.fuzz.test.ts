/** Programs may come from files: whatever was changed, the answer is `PROGRAM_INVALID` or a program that can be planned. */
import { type Program, RwkvError } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { primitiveKinds, smallConfigs } from '../test/models.js';
import { lower } from './lower.js';
import { planMemory } from './plan-memory.js';
import { printProgram } from './print-program.js';
import { validateProgram } from './validate-program.js';

const programs = smallConfigs.flatMap((config) => {
  const program = buildProgram({ ...config, layers: 2 });
  return [program, lower(program, primitiveKinds)].map((one) => JSON.stringify(one));
});

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Container = Json[] | { [key: string]: Json };

/** Every place of a JSON text: the container and its key. */
function places(root: Container): { container: Container; key: string }[] {
  return Object.keys(root).flatMap((key) => {
    const child = (root as Record<string, Json>)[key];
    const below = typeof child === 'object' && child !== null ? places(child) : [];
    return [{ container: root, key }, ...below];
  });
}

const anyJson = fc.oneof(
  fc.constantFrom<Json>(
    null,
    true,
    '',
    'x',
    '__proto__',
    'constructor',
    0,
    -1,
    1.5,
    1e300,
    2 ** 53,
  ),
  fc.constantFrom<Json>(
    [],
    {},
    [null],
    { id: 0 },
    { id: 0, rows: 'T', width: 12 },
    { weight: 'x' },
  ),
  fc.integer({ min: 0, max: 40 }),
);
/** Another value, nothing at all, or what stands somewhere else in the program. */
const anyChange = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), value: anyJson }),
  fc.record({ kind: fc.constant('drop' as const) }),
  fc.record({ kind: fc.constant('copy' as const), from: fc.nat() }),
);
type Change = typeof anyChange extends fc.Arbitrary<infer Value> ? Value : never;

function mutate(root: Container, at: number, change: Change): void {
  const all = places(root);
  const { container, key } = all[at % all.length]!;
  const target = container as Record<string, Json>;
  if (change.kind === 'set') target[key] = structuredClone(change.value);
  else if (change.kind === 'copy') {
    const source = all[change.from % all.length]!;
    const value = (source.container as Record<string, Json>)[source.key]!;
    target[key] = JSON.parse(JSON.stringify(value)) as Json;
  } else if (Array.isArray(container)) container.splice(Number(key), 1);
  else Reflect.deleteProperty(target, key);
}

/** True when accepted; anything but a `PROGRAM_INVALID` fails the test. */
function accepts(program: Program): boolean {
  try {
    validateProgram(program);
    return true;
  } catch (error) {
    if (RwkvError.isInstance(error) && error.code === 'PROGRAM_INVALID') return false;
    throw error;
  }
}

describe('a mutated program', () => {
  it('is PROGRAM_INVALID, or lowers, plans and prints like any other', () => {
    let accepted = 0;
    let refused = 0;
    const mutations = fc.array(fc.tuple(fc.nat(), anyChange), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom(...programs), mutations, (text, changes) => {
        const program = JSON.parse(text) as Program;
        for (const [at, change] of changes) mutate(program as unknown as Container, at, change);
        if (!accepts(program)) {
          refused++;
          return;
        }
        accepted++;
        const lowered = lower(program, primitiveKinds);
        validateProgram(lowered);
        expect(printProgram(lowered)).not.toContain('undefined');
        const limits = { tokens: 3, wanted: 2 };
        const { bytes, offsets } = planMemory(lowered, { limits });
        expect(Number.isSafeInteger(bytes)).toBe(true);
        expect([...offsets.values()].every(Number.isSafeInteger)).toBe(true);
      }),
      { numRuns: 1500 },
    );
    expect(refused).toBeGreaterThan(250);
    expect(accepted).toBeGreaterThan(10);
  });

  it('is refused where a part is no object, a list no list', () => {
    const program = JSON.parse(programs[0]!) as Program;
    const odd: unknown[] = [null, undefined, 3, 'x', { length: 1 }, [null], [3], ['x']];
    for (const name of ['weights', 'states', 'ops', 'output'] as const) {
      for (const value of odd) expect(accepts({ ...program, [name]: value })).toBe(false);
    }
    for (const value of [null, undefined, 3, 'x']) {
      expect(accepts(value as unknown as Program)).toBe(false);
    }
    for (const initial of [undefined, null, '0', [null], ['1'], [[0]], {}]) {
      const states = program.states.map((spec) => ({ ...spec, initial }));
      expect(accepts({ ...program, states } as unknown as Program)).toBe(false);
    }
  });
});
