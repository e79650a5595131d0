/** Reads which tensors of an adapter file change which weights, and checks every shape before anything is loaded. */
import { decode } from '@rwkv-ts/formats';
import type { ByteSource, ReadOptions } from '../byte-source.js';
import { WeightsError } from '../errors.js';
import { canonicalise, pieceShape } from '../layouts/canonical.js';
import { stripWrapper } from '../layouts/names.js';
import type { Piece } from '../layouts/types.js';
import { reshape, sameButOnes, viewOf } from '../layouts/view.js';
import type { RawFile, RawTensor } from '../raw-file.js';
import { addBat, addDisha, addLowRank, type LowRankFactors, type Matrix } from './merge.js';

/** One adapter file. What it is (LoRA, PiSSA, DiSHA, replaced tensors) is read from its names. */
export interface AdapterSpec {
  /** Disposed of with the model. */
  readonly source: ByteSource;
  /**
   * LoRA's α: W += (α / rank) B A. Default: what the file says, if it is one of ours; else 16, as PEFT's merge script has
   * it.
   */
  readonly alpha?: number;
  /** PiSSA: the file with `init_lora_A` and `init_lora_B`, which makes `lora_A` and `lora_B` mean W += B A - B₀ A₀. */
  readonly initSource?: ByteSource;
}

/** Where safetensors metadata keep LoRA's α, as decimal digits. */
export const loraAlphaKey = 'rwkv.lora_alpha';

/** Changes one matrix in place. */
export type AdapterStep = (weight: Matrix, options: ReadOptions) => Promise<void>;

/** An opened `AdapterSpec`. */
export interface AdapterFiles {
  readonly file: RawFile;
  readonly alpha?: number | undefined;
  readonly initFile?: RawFile | undefined;
}

export interface ReadAdapter {
  /** By canonical weight name. */
  readonly steps: ReadonlyMap<string, AdapterStep>;
  /** Tensors of the file that are no adapters: they replace the base's. By canonical name. */
  readonly replacements: ReadonlyMap<string, Piece>;
  readonly states: ReadonlyMap<number, Piece>;
}

export interface AdapterTarget {
  readonly name: string;
  readonly shape: readonly number[];
}

function invalid(message: string, { expected, got }: { expected: unknown; got: unknown }): never {
  throw new WeightsError({ code: 'ADAPTER_INVALID', message, expected, got });
}

/** Behind lora_A and lora_B, the PEFT library writes `.weight` or `.default.weight`. */
const suffixes =
  /^(.+)\.(?:(lora_[AB])(?:\.default)?(?:\.weight)?|(lora\.[01]|init_lora_[AB]|disha|bone))$/;
const sameAs: Readonly<Record<string, string>> = {
  'lora.0': 'lora_A',
  'lora.1': 'lora_B',
  bone: 'disha',
};

interface Part {
  readonly tensor: RawTensor;
  /** web-rwkv stores lora_A transposed, as [in, r]. */
  readonly transposed: boolean;
}

interface Sorted {
  /** By base name (without `.weight`), then by part. */
  readonly parts: ReadonlyMap<string, ReadonlyMap<string, Part>>;
  readonly others: readonly RawTensor[];
}

function sortTensors(file: RawFile): Sorted {
  const parts = new Map<string, Map<string, Part>>();
  const others: RawTensor[] = [];
  for (const [rawName, tensor] of file.tensors) {
    const name = stripWrapper(rawName);
    const match = suffixes.exec(name);
    if (!match) {
      others.push(tensor);
      continue;
    }
    const base = match[1]!.replace(/\.weight$/, '');
    const suffix = match[2] ?? match[3]!;
    const kind = sameAs[suffix] ?? suffix;
    const own = parts.get(base) ?? new Map<string, Part>();
    if (own.has(kind)) {
      invalid(`${file.name} has ${kind} of ${base} twice.`, { expected: 1, got: 2 });
    }
    own.set(kind, { tensor, transposed: suffix === 'lora.0' });
    parts.set(base, own);
  }
  return { parts, others };
}

async function readValues(tensor: RawTensor, options: ReadOptions): Promise<Float32Array> {
  const values = decode(tensor.format, await tensor.read(options));
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new WeightsError({
      code: 'TENSOR_VALUES',
      message: `${tensor.name} of the adapter holds a NaN or an infinity at element ${bad}.`,
      expected: 'finite numbers',
      got: bad,
    });
  }
  return values;
}

function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column]!;
    }
  }
  return result;
}

interface Pair {
  readonly rank: number;
  read(options: ReadOptions): Promise<LowRankFactors>;
}

function lowRankPair(
  target: AdapterTarget,
  { a, b, file }: { a: Part | undefined; b: Part | undefined; file: string },
): Pair {
  if (!a || !b) {
    return invalid(`${file}: ${target.name} has only one of lora_A and lora_B.`, {
      expected: 2,
      got: a ? a.tensor.name : b?.tensor.name,
    });
  }
  const [out, width] = target.shape as [number, number];
  const shapeA = a.transposed ? [...a.tensor.shape].reverse() : a.tensor.shape;
  const rank = shapeA[0] ?? 0;
  const fits =
    shapeA.length === 2 &&
    b.tensor.shape.length === 2 &&
    rank > 0 &&
    shapeA[1] === width &&
    b.tensor.shape[0] === out &&
    b.tensor.shape[1] === rank;
  if (!fits) {
    invalid(
      `${file}: ${a.tensor.name} [${a.tensor.shape.join(', ')}] and ${b.tensor.name} [${b.tensor.shape.join(', ')}] do not fit ${target.name} [${out}, ${width}]; expected [r, ${width}] and [${out}, r].`,
      {
        expected: [
          ['r', width],
          [out, 'r'],
        ],
        got: [a.tensor.shape, b.tensor.shape],
      },
    );
  }
  return {
    rank,
    read: async (options) => {
      const stored = await readValues(a.tensor, options);
      return {
        rank,
        a: a.transposed ? turned(stored, width, rank) : stored,
        b: await readValues(b.tensor, options),
      };
    },
  };
}

function dishaStep(target: AdapterTarget, { tensor }: Part, file: string): AdapterStep {
  const [out, width] = target.shape as [number, number];
  const { shape } = tensor;
  const rank = shape[shape.length - 2] ?? 0;
  const isBone = shape.length === 2 && shape[1] === out;
  const isBat =
    shape.length === 3 && shape[2] === rank && shape[0]! * rank === width && out % rank === 0;
  if (rank < 1 || width % rank !== 0 || (!isBone && !isBat)) {
    invalid(
      `${file}: ${tensor.name} [${shape.join(', ')}] does not fit ${target.name} [${out}, ${width}]; expected [r, ${out}], or [${width} / r, r, r].`,
      {
        expected: [
          ['r', out],
          [`${width} / r`, 'r', 'r'],
        ],
        got: shape,
      },
    );
  }
  return async (weight, options) => {
    const values = await readValues(tensor, options);
    if (isBone) addDisha(weight, values, rank);
    else addBat(weight, values, rank);
  };
}

interface StepInput {
  readonly target: AdapterTarget;
  readonly parts: ReadonlyMap<string, Part>;
  readonly init: ReadonlyMap<string, Part> | undefined;
  readonly alpha: number;
  readonly file: string;
}

function stepFor({ target, parts, init, alpha, file }: StepInput): AdapterStep {
  const disha = parts.get('disha');
  if (disha) return dishaStep(target, disha, file);
  const pair = lowRankPair(target, { a: parts.get('lora_A'), b: parts.get('lora_B'), file });
  if (!init) {
    return async (weight, options) => {
      addLowRank(weight, await pair.read(options), alpha / pair.rank);
    };
  }
  const start = lowRankPair(target, {
    a: init.get('init_lora_A'),
    b: init.get('init_lora_B'),
    file,
  });
  return async (weight, options) => {
    addLowRank(weight, await start.read(options), -1);
    addLowRank(weight, await pair.read(options), 1);
  };
}

/** The init tensors of PiSSA: from their own file, or from the adapter itself where a trainer stored them together. */
function initParts(
  adapter: Sorted,
  initFile: RawFile | undefined,
): ReadonlyMap<string, ReadonlyMap<string, Part>> {
  if (initFile) return sortTensors(initFile).parts;
  return new Map([...adapter.parts].filter(([, parts]) => parts.has('init_lora_A')));
}

interface CollectInput extends ReadAdapterInput {
  readonly sorted: Sorted;
}

function collectSteps({ files, targets, sorted }: CollectInput): Map<string, AdapterStep> {
  const { file, initFile } = files;
  const stored = file.metadata.get(loraAlphaKey);
  const alpha = files.alpha ?? (typeof stored === 'string' ? Number(stored) : 16);
  const init = initParts(sorted, initFile);
  if (!(Number.isFinite(alpha) && alpha > 0)) {
    if (files.alpha === undefined) {
      invalid(`${file.name}: its metadata say that alpha is ${String(stored)}.`, {
        expected: 'a positive number',
        got: stored,
      });
    }
    throw new TypeError(`alpha must be a positive number, got ${alpha}.`);
  }
  const steps = new Map<string, AdapterStep>();
  for (const [base, parts] of sorted.parts) {
    const target = targets.get(`${base}.weight`);
    if (target?.shape.length !== 2) {
      invalid(
        `${file.name} adapts ${base}, but the base model has no matrix ${base}.weight; is it for another size or version?`,
        { expected: 'a matrix of the base model', got: base },
      );
    }
    const own = init.get(base);
    if (initFile && !own && parts.has('lora_A')) {
      invalid(`${initFile.name} has no init_lora_A and init_lora_B for ${base}.`, {
        expected: base,
        got: undefined,
      });
    }
    steps.set(target.name, stepFor({ target, parts, init: own, alpha, file: file.name }));
  }
  return steps;
}

export interface ReadAdapterInput {
  readonly files: AdapterFiles;
  /** The base model's weights by canonical name. */
  readonly targets: ReadonlyMap<string, AdapterTarget>;
}

/**
 * Looks at names and shapes only; tensors are read when a step runs.
 * @throws WeightsError `ADAPTER_INVALID`
 */
export function readAdapter({ files, targets }: ReadAdapterInput): ReadAdapter {
  const { file } = files;
  const sorted = sortTensors(file);
  const steps = collectSteps({ files, targets, sorted });
  const { pieces, states } = canonicalise({
    layout: 'official',
    entries: sorted.others.map((tensor) => ({
      name: stripWrapper(tensor.name),
      parts: [viewOf(tensor)],
    })),
    pairs: 'in-out',
    facts: {},
    unknown: [],
    notes: [],
  });
  const replacements = checkReplacements(pieces, { targets, file: file.name });
  if (steps.size + replacements.size + states.size === 0) {
    invalid(`${file.name} holds no adapter tensors.`, {
      expected: 'lora_A and lora_B, disha, or tensors to replace',
      got: 0,
    });
  }
  return { steps, replacements, states };
}

/** v7 files may carry these, and no model uses them. */
const firstValueDummy = /^blocks\.0\.att\.v[012](?:\.weight)?$/;

function checkReplacements(
  pieces: ReadonlyMap<string, Piece>,
  { targets, file }: { targets: ReadonlyMap<string, AdapterTarget>; file: string },
): ReadonlyMap<string, Piece> {
  const kept = new Map<string, Piece>();
  for (const [name, piece] of pieces) {
    const target = targets.get(name);
    if (!target && firstValueDummy.test(name)) continue;
    const got = pieceShape(piece);
    const view = piece.parts[0]!;
    if (!target || !sameButOnes(target.shape, got)) {
      invalid(
        target
          ? `${file}: ${view.tensor.name} [${got.join(', ')}] cannot replace ${name} [${target.shape.join(', ')}].`
          : `${file}: ${view.tensor.name} is neither an adapter nor a tensor of the base model.`,
        { expected: target?.shape ?? 'a tensor of the base model', got },
      );
    }
    kept.set(name, { ...piece, parts: [reshape(view, target.shape) ?? view] });
  }
  return kept;
}
