/** What has to hold for every model file, however odd: an `RwkvError`, or every weight of the told model once, whole and finite. */
import { RwkvError } from '@rwkv-ts/backend';
import { bytesForShape, decode } from '@rwkv-ts/formats';
import { canonicalWeights } from '@rwkv-ts/model';
import type { ModelFile } from '../../src/model-file.js';

export type ModelOutcome =
  { readonly code: string } | { readonly numbers: ReadonlyMap<string, Float32Array> };

/** Far above what any input takes, and far below a hang. */
const milliseconds = 5000;
/** The narrowest format has 1.125 bits a number, f32 32; padding and re-used tensors stay far below the rest. */
const inflation = 64;

function require(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** Streams all weights; throws when anything but the promised happens. */
export async function checkModel(
  open: () => ModelFile | Promise<ModelFile>,
  fileBytes: number,
): Promise<ModelOutcome> {
  const start = performance.now();
  try {
    await using model = await open();
    return { numbers: await checkWeights(model, fileBytes) };
  } catch (error) {
    if (RwkvError.isInstance(error)) {
      require(!error.message.includes('\n') && error.message.length < 2000, error.message);
      return { code: error.code };
    }
    throw error;
  } finally {
    const took = performance.now() - start;
    require(took < milliseconds, `took ${took} ms`);
  }
}

async function checkWeights(
  model: ModelFile,
  fileBytes: number,
): Promise<ReadonlyMap<string, Float32Array>> {
  const expected = new Map(canonicalWeights(model.config).map(({ name, shape }) => [name, shape]));
  const claimed = model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  require(claimed <= fileBytes * inflation, `${claimed} bytes out of a file of ${fileBytes}`);
  const numbers = new Map<string, Float32Array>();
  for await (const { name, shape, format, bytes } of model.weights()) {
    require(expected.get(name)?.join() === shape.join(), `${name} has the shape [${shape.join()}]`);
    require(!numbers.has(name), `${name} came twice`);
    require(bytes.length === bytesForShape(format, shape), `${name} has ${bytes.length} bytes`);
    const values = decode(format, bytes);
    require(values.every(Number.isFinite), `${name} holds a number that is none`);
    numbers.set(name, values);
  }
  require(numbers.size === expected.size, `${numbers.size} weights of ${expected.size} came`);
  return numbers;
}
