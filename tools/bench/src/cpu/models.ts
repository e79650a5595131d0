/** The model files to measure: those that were named, or random ones that tools/fixtures makes. */
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buildProgram } from '@rwkv-ts/model';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { execute } from '../common/execute.js';
import { modelCost, type ModelCost } from './model-cost.js';
import type { Options } from './options.js';

export interface ModelUnderTest {
  /** Shown in tables. */
  readonly name: string;
  readonly path: string;
  readonly cost: ModelCost;
}

interface Folders {
  /** Where models are kept. */
  readonly models: string;
  /** The program of tools/fixtures. */
  readonly fixtures: string;
}

export async function modelsOf(options: Options, folders: Folders): Promise<ModelUnderTest[]> {
  const paths = options.files.length > 0 ? options.files : await randomModels(options, folders);
  return Promise.all(paths.map(openCost));
}

async function randomModels(
  { shapes, formats }: Options,
  { models, fixtures }: Folders,
): Promise<string[]> {
  mkdirSync(models, { recursive: true });
  const pathOf = (shape: string, format: string) => join(models, `rwkv7-${shape}.${format}.gguf`);
  for (const shape of shapes) {
    const missing = formats.filter((format) => !existsSync(pathOf(shape, format)));
    if (missing.length === 0) continue;
    const layouts = missing.flatMap((format) => ['--layout', `gguf-${format}`]);
    const command = [process.execPath, fixtures, models, '--shape', shape, ...layouts];
    const { errors, status } = await execute(command);
    if (status !== '0')
      throw new Error(`The models could not be made (${status}): ${errors.trim()}`);
  }
  return shapes.flatMap((shape) => formats.map((format) => pathOf(shape, format)));
}

async function openCost(path: string): Promise<ModelUnderTest> {
  await using file = await openModel(await fileSource(path));
  const name = basename(path, '.gguf');
  return { name, path, cost: modelCost(buildProgram(file.config), file.tensors) };
}
