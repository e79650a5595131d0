/** A fixture as one file that Node runs, in a folder that looks like this package to it. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

const packageFolder = fileURLToPath(new URL('..', import.meta.url));

export interface Bundle {
  readonly path: string;
  remove(): void;
}

/** `name`: of a file of this folder, without `.ts`. */
export async function bundleFixture(name: string): Promise<Bundle> {
  const folder = mkdtempSync(join(tmpdir(), 'backend-cpu-'));
  cpSync(join(packageFolder, 'package.json'), join(folder, 'package.json'));
  for (const each of ['prebuilds', 'node_modules']) {
    symlinkSync(join(packageFolder, each), join(folder, each));
  }
  mkdirSync(join(folder, 'test'));
  await build({
    entry: [join(packageFolder, 'test', `${name}.ts`)],
    outDir: join(folder, 'test'),
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    noExternal: [/^@rwkv-ts\//],
    esbuildOptions: (options) => {
      options.conditions = ['@rwkv-ts/source'];
    },
    removeNodeProtocol: false,
    config: false,
    dts: false,
    clean: false,
    silent: true,
  });
  return {
    path: join(folder, 'test', `${name}.mjs`),
    remove: () => {
      rmSync(folder, { recursive: true });
    },
  };
}
