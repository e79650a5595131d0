/** The addon of test/addon, built as a backend's is: in a folder that looks like a package of its own. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type AddonBuild, buildAddon, CannotBuild } from '../scripts/build-addon.mjs';
import { type AddonDescription, findAddon } from '../src/index.js';

export const ownFolder = fileURLToPath(new URL('..', import.meta.url));
/** Kept, so that the addon is compiled only where its sources changed. */
export const packageFolder = join(ownFolder, 'build/test-addon');
export const version = '1.2.3';
export const description: AddonDescription = {
  title: 'native test backend',
  packageName: '@rwkv-ts/backend-test',
  fileName: 'rwkv_test.node',
};
export const build: AddonBuild = { ...description, packageFolder, sources: ['addon.cc'] };

/** Empty objects of the addon. */
export type Handle = object;

export interface TestAddon {
  readonly version: string;
  adjustMemory(change: number): number;
  createEngine(spinMicroseconds: number): Handle;
  drainEngine(engine: Handle): Promise<void>;
  stopEngine(engine: Handle): void;
  add(engine: Handle, numbers: Float64Array): Promise<Float64Array>;
  fail(engine: Handle, code: string): Promise<void>;
  wait(engine: Handle, milliseconds: number): Promise<void>;
  createBox(): Handle;
  isReleased(box: Handle): boolean;
  releaseBox(engine: Handle, box: Handle): Promise<void>;
  exhaust(): void;
  stoppedEngines(): number;
  arguments(...values: unknown[]): {
    numbers: Float64Array;
    flag: boolean;
    text: string;
    whole: number | undefined;
  };
}

function writePackage(): void {
  const modules = join(packageFolder, 'node_modules/@rwkv-ts');
  mkdirSync(modules, { recursive: true });
  if (!existsSync(join(modules, 'native'))) symlinkSync(ownFolder, join(modules, 'native'), 'dir');
  for (const name of ['addon.cc', 'binding.gyp']) {
    write(name, readFileSync(join(ownFolder, 'test/addon', name), 'utf8'));
  }
  write('package.json', JSON.stringify({ name: description.packageName, version }));
}

/** Only where it is something else: another test file's process may be compiling it. */
function write(name: string, text: string): void {
  const path = join(packageFolder, name);
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}

/** Undefined where no compiler is, unless the CI says that there must be one. */
export function loadTestAddon(): TestAddon | undefined {
  writePackage();
  try {
    buildAddon(build);
  } catch (error) {
    if (error instanceof CannotBuild && process.env['CI'] !== 'true') return undefined;
    console.error((error as { output?: string }).output ?? '');
    throw error;
  }
  const module = pathToFileURL(join(packageFolder, 'dist/index.js')).href;
  return findAddon<TestAddon>(description, module).addon;
}
