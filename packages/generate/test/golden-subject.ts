/** A golden model from its original file on any backend. */
import type { Backend, Program, Rows } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { goldenLimits, type GoldenSubject } from './golden-cases.js';
import { type GoldenModel, goldenPath, readExpected } from './golden.js';

/** Disposes of the backend with the rest. */
export async function openGolden(model: GoldenModel, backend: Backend): Promise<GoldenSubject> {
  await using source = await fileSource(goldenPath(model.folder, model.file));
  await using file = await openModel(source);
  const program = buildProgram(file.config);
  const weights = await backend.upload(file.weights({ claimed: backend.supports.weightFormats }), {
    program,
  });
  const states = await backend.createStates(program.states, 8);
  const executable = await backend.compile(program, { weights, states }, goldenLimits);
  return {
    expected: readExpected(goldenPath(model.folder, model.expected)),
    run: (batch) => executable.run(batch),
    reset: (slot) => {
      states.reset(slot);
    },
    state: async (slot) => numbersByName(program.states, await states.read(slot)),
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

/** A snapshot holds spec after spec. */
export function numbersByName(
  specs: Program['states'],
  snapshot: Uint8Array,
): (name: string) => Rows {
  const numbers = new Float32Array(snapshot.slice().buffer);
  const found = new Map<string, Rows>();
  let at = 0;
  for (const { name, shape } of specs) {
    const size = shape.reduce((total, length) => total * length, 1);
    found.set(name, numbers.subarray(at, (at += size)));
  }
  return (name) => found.get(name)!;
}
