/**
 * The package's install script. Nothing to do where a platform package (an optional dependency) or an earlier build
 * loads; otherwise it tries to build from source. It never fails the installation: without the addon, creating the
 * backend throws a typed error that says the same, and a program can fall back.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from './native-sources.mjs';
import { platformName } from './platform.mjs';

// In the repository, which alone has this file, `pnpm build` builds the addon.
const inRepository = existsSync(join(packageFolder, 'tsup.config.ts'));
if (!inRepository && process.env.RWKV_TS_SKIP_NATIVE_BUILD !== '1' && !(await loads()))
  await build();

async function loads() {
  try {
    const { loadNative } = await import('../dist/load-native.js');
    loadNative();
    return true;
  } catch {
    return false;
  }
}

async function build() {
  const again = `node ${JSON.stringify(join(packageFolder, 'scripts/build-native.mjs'))}`;
  console.log(
    `No prebuilt native backend loads on ${platformName()}; building from source, which takes some minutes.`,
  );
  try {
    const { buildNative } = await import('./build-native.mjs');
    const { seconds } = buildNative();
    if (await loads()) console.log(`Built in ${seconds.toFixed(0)} s.`);
    else
      console.warn(
        `It was built but does not load; see what creating the backend says, and: ${again} --force`,
      );
  } catch (error) {
    if (error.output) console.warn(error.output);
    console.warn(`The native CPU backend was not built: ${error.message}.\nTo try again: ${again}`);
  }
}
