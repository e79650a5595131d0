/**
 * The install script of a package with an addon. Nothing to do where a platform package (an optional dependency) or an
 * earlier build loads; otherwise it tries to build from source. It never fails the installation: without the addon,
 * creating the backend throws a typed error that says the same, and a program can fall back.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { platformName } from './platform.mjs';

/** Described in install-addon.d.mts. */
export async function installAddon({ packageFolder, title, load, build }) {
  // In the repository, which alone has this file, `pnpm build` builds the addon.
  const inRepository = existsSync(join(packageFolder, 'tsup.config.ts'));
  if (inRepository || process.env.RWKV_TS_SKIP_NATIVE_BUILD === '1' || (await loads(load))) return;
  const again = `node ${JSON.stringify(join(packageFolder, 'scripts/build-native.mjs'))}`;
  console.log(
    `No prebuilt ${title} loads on ${platformName()}; building from source, which takes some minutes.`,
  );
  try {
    const { seconds } = await build();
    if (await loads(load)) console.log(`Built in ${seconds.toFixed(0)} s.`);
    else
      console.warn(
        `It was built but does not load; see what creating the backend says, and: ${again} --force`,
      );
  } catch (error) {
    if (error.output) console.warn(error.output);
    console.warn(`The ${title} was not built: ${error.message}.\nTo try again: ${again}`);
  }
}

async function loads(load) {
  try {
    await load();
    return true;
  } catch {
    return false;
  }
}
