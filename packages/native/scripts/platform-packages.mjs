/**
 * The prebuilt addons as packages of their own, <package>-<platform>: a package manager installs the one whose os, cpu and
 * libc are the machine's. For the repository only. A package's script calls it:
 *
 *   node scripts/platform-packages.mjs pack [--platform linux-x64-gnu] [--to folder]
 *     packs the addon in prebuilds/<platform>, this machine's by default, into folder (build/platform-packages)
 *   node scripts/platform-packages.mjs wire [--from folder]
 *     at release: with the tarballs of every platform in the folder, makes them optional dependencies in package.json
 *
 * package.json in the repository names none of them, because an install there would ask the registry for versions that
 * are not published yet.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { platformName, platforms as allPlatforms } from './platform.mjs';

const require = createRequire(import.meta.url);
const licence = join(dirname(fileURLToPath(import.meta.url)), '../../../LICENSE');

const words = {
  linux: 'Linux',
  darwin: 'macOS',
  win32: 'Windows',
  glibc: 'glibc',
  musl: 'musl (Alpine)',
};

/** Returns the exit status. `addon` has packageFolder, fileName and, where it is not for all of them, platforms. */
export function platformPackagesCommand(addon) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { platform: { type: 'string' }, to: { type: 'string' }, from: { type: 'string' } },
  });
  const command = { pack, wire }[positionals[0]];
  if (command === undefined) {
    console.error(
      'usage: node scripts/platform-packages.mjs <pack|wire> [--platform name] [--to folder] [--from folder]',
    );
    return 2;
  }
  try {
    command(addon, values);
    return 0;
  } catch (error) {
    console.error(error.message);
    return 1;
  }
}

/** The path of the tarball. */
export function pack(addon, { platform = platformName(), to = packagesFolder(addon) } = {}) {
  const { packageFolder, fileName } = addon;
  const names = platformsOf(addon);
  if (!names.includes(platform)) {
    throw new Error(`no package for ${platform}; there are ${names.join(', ')}`);
  }
  const built = join(packageFolder, 'prebuilds', platform, fileName);
  if (!existsSync(built)) throw new Error(`${built} is not there; build it first`);
  const manifest = readManifest(addon);
  const folder = join(packagesFolder(addon), platform);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  mkdirSync(resolve(to), { recursive: true });
  copyFileSync(built, join(folder, fileName));
  copyFileSync(licence, join(folder, 'LICENSE'));
  // Its headers are compiled into the addon, and its licence asks to be passed on.
  const headers = dirname(require.resolve('node-addon-api/package.json'));
  copyFileSync(join(headers, 'LICENSE.md'), join(folder, 'LICENSE.node-addon-api.md'));
  const described = describe(manifest, { platform, fileName });
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(described, null, 2)}\n`);
  writeFileSync(join(folder, 'README.md'), readme(manifest, platform));
  const { status, stderr } = spawnSync('npm', ['pack', '--pack-destination', resolve(to)], {
    cwd: folder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`npm pack failed: ${stderr}`);
  const path = join(resolve(to), tarballName(manifest, platform));
  console.log(path);
  return path;
}

export function wire(addon, { from = packagesFolder(addon) } = {}) {
  const manifest = readManifest(addon);
  const names = platformsOf(addon);
  const missing = names.filter(
    (platform) => !existsSync(join(resolve(from), tarballName(manifest, platform))),
  );
  if (missing.length > 0) {
    throw new Error(`version ${manifest.version} is not packed for ${missing.join(', ')}`);
  }
  // Exact versions: the addon and the package that calls it share a private interface.
  manifest.optionalDependencies = Object.fromEntries(
    names.map((platform) => [packageName(manifest, platform), manifest.version]),
  );
  writeFileSync(manifestPath(addon), `${JSON.stringify(manifest, null, 2)}\n`);
}

const packagesFolder = ({ packageFolder }) => join(packageFolder, 'build/platform-packages');
const manifestPath = ({ packageFolder }) => join(packageFolder, 'package.json');
const readManifest = (addon) => JSON.parse(readFileSync(manifestPath(addon), 'utf8'));
const platformsOf = ({ platforms = Object.keys(allPlatforms) }) => platforms;
const packageName = (manifest, platform) => `${manifest.name}-${platform}`;
const tarballName = (manifest, platform) =>
  `${packageName(manifest, platform).replace('@', '').replace('/', '-')}-${manifest.version}.tgz`;

/** Every field that concerns the machine, and the ones that npm pages show. */
function describe(manifest, { platform, fileName }) {
  const { os, cpu, libc } = allPlatforms[platform];
  const { version, license, engines, publishConfig, repository } = manifest;
  return {
    name: packageName(manifest, platform),
    version,
    description: `The native addon of ${manifest.name}, prebuilt for ${readable(platform)}`,
    license,
    main: fileName,
    files: [fileName, 'LICENSE.node-addon-api.md'],
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    engines,
    // pnpm and yarn may keep packages zipped; an addon must lie in the file system to be loaded.
    preferUnplugged: true,
    publishConfig,
    ...(repository === undefined ? {} : { repository }),
  };
}

function readable(platform) {
  const { os, cpu, libc } = allPlatforms[platform];
  return `${words[os]} ${cpu}${libc === undefined ? '' : `, ${words[libc]}`}`;
}

function readme(manifest, platform) {
  return `# ${packageName(manifest, platform)}

The native addon of [\`${manifest.name}\`](https://www.npmjs.com/package/${manifest.name}), prebuilt for ${readable(platform)}.
It is an optional dependency of that package; there is nothing to use in it by itself.
`;
}
