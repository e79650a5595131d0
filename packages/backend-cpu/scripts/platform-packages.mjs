/**
 * The prebuilt addons as packages of their own, @rwkv-ts/backend-cpu-<platform>: a package manager installs the one whose
 * os, cpu and libc are the machine's.
 *
 *   node scripts/platform-packages.mjs pack [--platform linux-x64-gnu] [--to folder]
 *     packs prebuilds/<platform>/rwkv_cpu.node, this machine's by default, into folder (build/platform-packages)
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
import { parseArgs } from 'node:util';
import { packageFolder } from './native-sources.mjs';
import { platformName, platforms } from './platform.mjs';

const require = createRequire(import.meta.url);
const packagesFolder = join(packageFolder, 'build/platform-packages');
const manifestPath = join(packageFolder, 'package.json');
const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'));

const names = {
  linux: 'Linux',
  darwin: 'macOS',
  win32: 'Windows',
  glibc: 'glibc',
  musl: 'musl (Alpine)',
};
const packageName = (platform) => `${manifest.name}-${platform}`;
const tarballName = (platform) =>
  `${packageName(platform).replace('@', '').replace('/', '-')}-${manifest.version}.tgz`;

function pack({ platform = platformName(), to = packagesFolder }) {
  const machine = platforms[platform];
  if (machine === undefined) {
    throw new Error(`no package for ${platform}; there are ${Object.keys(platforms).join(', ')}`);
  }
  const addon = join(packageFolder, 'prebuilds', platform, 'rwkv_cpu.node');
  if (!existsSync(addon)) throw new Error(`${addon} is not there; build it first`);
  const folder = join(packagesFolder, platform);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  mkdirSync(resolve(to), { recursive: true });
  copyFileSync(addon, join(folder, 'rwkv_cpu.node'));
  copyFileSync(join(packageFolder, '../../LICENSE'), join(folder, 'LICENSE'));
  // Its headers are compiled into the addon, and its licence asks to be passed on.
  const headers = dirname(require.resolve('node-addon-api/package.json'));
  copyFileSync(join(headers, 'LICENSE.md'), join(folder, 'LICENSE.node-addon-api.md'));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(describe(platform), null, 2)}\n`);
  writeFileSync(join(folder, 'README.md'), readme(platform));
  const { status, stderr } = spawnSync('npm', ['pack', '--pack-destination', resolve(to)], {
    cwd: folder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`npm pack failed: ${stderr}`);
  console.log(join(resolve(to), tarballName(platform)));
}

/** Every field that concerns the machine, and the ones that npm pages show. */
function describe(platform) {
  const { os, cpu, libc } = platforms[platform];
  const { version, license, engines, publishConfig, repository } = manifest;
  return {
    name: packageName(platform),
    version,
    description: `The native addon of ${manifest.name}, prebuilt for ${readable(platform)}`,
    license,
    main: 'rwkv_cpu.node',
    files: ['rwkv_cpu.node', 'LICENSE.node-addon-api.md'],
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
  const { os, cpu, libc } = platforms[platform];
  return `${names[os]} ${cpu}${libc === undefined ? '' : `, ${names[libc]}`}`;
}

function readme(platform) {
  return `# ${packageName(platform)}

The native addon of [\`${manifest.name}\`](https://www.npmjs.com/package/${manifest.name}), prebuilt for ${readable(platform)}.
It is an optional dependency of that package; there is nothing to use in it by itself.
`;
}

function wire({ from = packagesFolder }) {
  const missing = Object.keys(platforms).filter(
    (platform) => !existsSync(join(resolve(from), tarballName(platform))),
  );
  if (missing.length > 0) {
    throw new Error(`version ${manifest.version} is not packed for ${missing.join(', ')}`);
  }
  // Exact versions: the addon and the package that calls it share a private interface.
  manifest.optionalDependencies = Object.fromEntries(
    Object.keys(platforms).map((platform) => [packageName(platform), manifest.version]),
  );
  writeFileSync(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { platform: { type: 'string' }, to: { type: 'string' }, from: { type: 'string' } },
});
const command = { pack, wire }[positionals[0]];
if (command === undefined) {
  console.error(
    'usage: node scripts/platform-packages.mjs <pack|wire> [--platform name] [--to folder] [--from folder]',
  );
  process.exit(2);
}
try {
  command(values);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
