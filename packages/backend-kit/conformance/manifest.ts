/** Group `manifest`: what a backend says about itself is well formed, stays the same, and is true. */
import {
  type Backend,
  type HostWeight,
  type Op,
  type OpKind,
  RwkvError,
  type WeightFormat,
} from '@rwkv-ts/backend';
import { encode, formatInfo, formatNames, isWeightFormat } from '@rwkv-ts/formats';
import { opKinds } from '@rwkv-ts/program';
import { check, equal, fail, rejects } from './assert.js';
import { batchOf } from './batches.js';
import { opCaseTable } from './cases/index.js';
import { OpScope } from './op-scope.js';
import { defaultLimits, handOver, open } from './session.js';
import type { CaseContext, CaseDefinition } from './types.js';

const kinds: readonly OpKind[] = [...opKinds];
const formats: readonly WeightFormat[] = formatNames.filter(isWeightFormat);

const describe = ({ specificationVersion, name, supports }: Backend): string =>
  JSON.stringify([
    specificationVersion,
    name,
    [...supports.ops].sort(),
    [...supports.weightFormats].sort(),
    supports.activations,
    [...(supports.roundedProducts ?? [])].sort(),
    [...(supports.trainingOps ?? [])].sort(),
    supports.embeddings,
  ]);

async function wellFormed({ backend }: CaseContext): Promise<void> {
  equal(backend.specificationVersion, 'v1', 'specificationVersion');
  check(backend.name.trim().length > 0, 'name must say something');
  const { ops, weightFormats, activations, embeddings } = backend.supports;
  for (const kind of ops)
    check(opKinds.has(kind), `supports.ops claims ${kind}, which is no op kind`);
  for (const format of weightFormats) {
    check(isWeightFormat(format), `supports.weightFormats claims ${format}, which is none`);
  }
  check(['f64', 'f32', 'f16'].includes(activations), `supports.activations is ${activations}`);
  equal(typeof embeddings, 'boolean', 'type of supports.embeddings');
  for (const format of backend.supports.roundedProducts ?? []) {
    check(
      weightFormats.has(format),
      `supports.roundedProducts has ${format}, which is not claimed`,
    );
  }
}

/** Without these no program has an input or an output, and no weight of an unclaimed format can be converted. */
async function leastClaims({ backend }: CaseContext): Promise<void> {
  for (const kind of ['embed', 'select-rows', 'matmul'] as const) {
    check(
      backend.supports.ops.has(kind),
      `supports.ops must claim ${kind}, which every model needs`,
    );
  }
  check(
    backend.supports.weightFormats.has('f32'),
    'supports.weightFormats must claim f32, the format that every other one converts to without loss',
  );
}

/** `createTraining` and `supports.trainingOps` come together, and are enough to train something. */
async function trainingClaimed({ backend, skip }: CaseContext): Promise<void> {
  const { trainingOps } = backend.supports;
  equal(
    trainingOps !== undefined,
    backend.createTraining !== undefined,
    'supports.trainingOps is there where createTraining is',
  );
  if (!trainingOps) return skip('the backend has no createTraining');
  for (const kind of trainingOps) {
    check(opKinds.has(kind), `supports.trainingOps claims ${kind}, which is no op kind`);
  }
  for (const kind of ['embed', 'select-rows', 'matmul'] as const) {
    check(
      trainingOps.has(kind),
      `supports.trainingOps must claim ${kind}, which every model needs`,
    );
  }
}

const oneOp = (kind: OpKind) => {
  const scope = new OpScope({ seed: 2 });
  const [value] = opCaseTable[kind].variants[0]!.build(scope);
  return { program: scope.program(value!), weights: scope.hostWeights };
};

async function constant({ create }: CaseContext): Promise<void> {
  const [backend, other] = [await create(), await create()];
  const before = describe(backend);
  equal(describe(other), before, 'the claims of a second backend made the same way');
  await using session = await open(backend, oneOp('matmul'));
  await session.run(batchOf([{ slot: 0, tokens: [1] }]));
  equal(describe(backend), before, 'the claims after work');
}

async function unclaimedOp({ backend, skip }: CaseContext, kind: OpKind): Promise<void> {
  if (backend.supports.ops.has(kind)) skip(`${kind} is claimed, and tested in the group ops`);
  const { program, weights } = oneOp(kind);
  await using uploaded = await backend.upload(handOver(weights));
  await using states = await backend.createStates(program.states, 1);
  await rejects(
    () => backend.compile(program, { weights: uploaded, states }, defaultLimits),
    'UNSUPPORTED_OP',
    `compiling ${kind}, which is not claimed`,
  );
}

/** As a program of a later contract might hold. */
async function unknownOp({ backend }: CaseContext): Promise<void> {
  const { program, weights } = oneOp('scale');
  const ops = program.ops.map((op) =>
    op.kind === 'scale' ? ({ ...op, kind: 'wkv99' } as unknown as Op) : op,
  );
  await using uploaded = await backend.upload(handOver(weights));
  await using states = await backend.createStates(program.states, 1);
  let error: unknown;
  try {
    await backend.compile({ ...program, ops }, { weights: uploaded, states }, defaultLimits);
  } catch (caught) {
    error = caught;
  }
  if (RwkvError.isInstance(error) && ['UNSUPPORTED_OP', 'PROGRAM_INVALID'].includes(error.code))
    return;
  fail(
    `compiling an unknown op kind: expected UNSUPPORTED_OP or PROGRAM_INVALID, got ${String(error)}`,
  );
}

async function refuseFormat({ create }: CaseContext, weight: HostWeight): Promise<void> {
  const backend = await create();
  await rejects(
    () => backend.upload(handOver([weight])),
    'UNSUPPORTED_WEIGHT_FORMAT',
    `uploading ${weight.format}, which is not claimed`,
  );
  equal(backend.bytes, 0, 'bytes after the refusal');
}

async function unclaimedFormat(context: CaseContext, format: WeightFormat): Promise<void> {
  if (context.backend.supports.weightFormats.has(format)) {
    context.skip(`${format} is claimed, and tested in the group formats`);
  }
  const shape = [3, 2 * formatInfo(format).blockSize];
  const bytes = encode(format, new Float32Array(6 * formatInfo(format).blockSize));
  await refuseFormat(context, { name: 'w', shape, format, bytes });
}

async function unknownFormat(context: CaseContext): Promise<void> {
  const format = 'q99_9' as unknown as WeightFormat;
  await refuseFormat(context, { name: 'w', shape: [4], format, bytes: new Uint8Array(16) });
}

export const manifestCases: readonly CaseDefinition[] = [
  { name: 'the manifest is well formed', run: wellFormed },
  { name: 'the claims that every program needs', run: leastClaims },
  { name: 'what is claimed of training', run: trainingClaimed },
  { name: 'claims stay the same', run: constant },
  ...kinds.map((kind) => ({
    name: `${kind} is claimed or refused`,
    run: (context: CaseContext) => unclaimedOp(context, kind),
  })),
  { name: 'an unknown op kind is refused', run: unknownOp },
  ...formats.map((format) => ({
    name: `${format} is claimed or refused`,
    run: (context: CaseContext) => unclaimedFormat(context, format),
  })),
  { name: 'an unknown weight format is refused', run: unknownFormat },
];
