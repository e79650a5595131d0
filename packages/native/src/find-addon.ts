/**
 * Finds and loads an addon: what was built here from source, then the prebuilt platform package, an optional
 * dependency. Whatever goes wrong is one `DEVICE_UNAVAILABLE` that says what was tried, why it failed and what to do.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BackendError } from '@rwkv-ts/backend';
import { buildTools, platformName, platforms } from '../scripts/platform.mjs';

export interface AddonDescription {
  /** For people: `native CPU backend`. */
  readonly title: string;
  /** Of the package whose addon it is; the names of the platform packages begin with it. */
  readonly packageName: string;
  /** `rwkv_cpu.node` */
  readonly fileName: string;
  /** Those with a platform package; by default all of `platforms`. */
  readonly platforms?: readonly string[];
}

/** What the search asks of the machine; a test gives its own. */
export interface AddonHost {
  /** As `platformName()` has it: linux-x64-gnu, darwin-arm64, … */
  readonly platform: string;
  /** The package's version, which the addon must have too: the two share a private interface. */
  readonly version: string;
  readonly packageFolder: string;
  exists(path: string): boolean;
  /** Throws as `require` does. */
  require(id: string): unknown;
}

/** An addon, and what it was found as. */
export interface FoundAddon<Addon> {
  readonly addon: Addon;
  /** For people: `the package @rwkv-ts/backend-cpu-linux-x64-gnu`, for example. */
  readonly source: string;
}

interface Attempt {
  readonly tried: string;
  readonly problem: string;
  readonly error?: unknown;
}

interface Candidate {
  readonly tried: string;
  readonly id: string;
  readonly missing?: string;
}

/**
 * `where` is the `import.meta.url` of a module of the package, one folder below its package.json, as those of src/ and
 * dist/ are; or what a test has in place of this machine. That what was found is an `Addon` is known by its `version` alone.
 *
 * @throws BackendError `DEVICE_UNAVAILABLE`
 */
export function findAddon<Addon extends { readonly version: string }>(
  description: AddonDescription,
  where: string | AddonHost,
): FoundAddon<Addon> {
  const host = typeof where === 'string' ? thisMachine(where) : where;
  const attempts: Attempt[] = [];
  for (const { tried, id, missing } of candidates(description, host)) {
    if (missing !== undefined) {
      attempts.push({ tried, problem: missing });
      continue;
    }
    const outcome = tryToLoad(host, id);
    if ('addon' in outcome) return { addon: outcome.addon as Addon, source: tried };
    attempts.push({ tried, ...outcome });
  }
  throw unavailable(description, { host, attempts });
}

/** The platform package's name; also where there is none. */
export function platformPackage(packageName: string, platform: string): string {
  return `${packageName}-${platform}`;
}

function candidates(description: AddonDescription, host: AddonHost): Candidate[] {
  const { packageName, fileName } = description;
  const local = join(host.packageFolder, 'prebuilds', host.platform, fileName);
  const prebuilt = platformPackage(packageName, host.platform);
  return [
    {
      tried: `the build from source ${local}`,
      id: local,
      ...(host.exists(local) ? {} : { missing: 'not there' }),
    },
    {
      tried: `the package ${prebuilt}`,
      id: prebuilt,
      ...(isPublished(description, host.platform)
        ? {}
        : { missing: 'no such package is published' }),
    },
  ];
}

function isPublished(description: AddonDescription, platform: string): boolean {
  return (description.platforms ?? Object.keys(platforms)).includes(platform);
}

function tryToLoad(
  host: AddonHost,
  id: string,
): { addon: unknown } | { problem: string; error?: unknown } {
  let loaded: unknown;
  try {
    loaded = host.require(id);
  } catch (error) {
    if (isMissing(error)) return { problem: 'not installed' };
    return {
      problem: `does not load: ${error instanceof Error ? error.message : String(error)}`,
      error,
    };
  }
  const version = (loaded as { version?: unknown } | null | undefined)?.version;
  if (typeof version !== 'string') return { problem: 'is not an addon of this package' };
  if (version !== host.version) {
    return { problem: `has version ${version}, but this package has ${host.version}` };
  }
  return { addon: loaded };
}

function isMissing(error: unknown): boolean {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND';
}

function isBarred(error: unknown): boolean {
  return (error as { code?: unknown } | null | undefined)?.code === 'ERR_DLOPEN_DISABLED';
}

function unavailable(
  description: AddonDescription,
  { host, attempts }: { host: AddonHost; attempts: readonly Attempt[] },
): BackendError {
  const { platform, version } = host;
  // An error of the loader tells more than a file that is not there.
  const cause = attempts.find(({ error }) => error !== undefined)?.error;
  return new BackendError({
    code: 'DEVICE_UNAVAILABLE',
    message: [
      `The ${description.title} ${version} cannot be loaded on ${platform}. Tried:`,
      ...attempts.map(({ tried, problem }) => `- ${tried}: ${problem}`),
      'What helps:',
      ...remedies(description, { host, attempts }).map((remedy) => `- ${remedy}`),
    ].join('\n'),
    expected: `an addon of version ${version} for ${platform}`,
    got: attempts.map(({ tried, problem }) => `${tried}: ${problem}`),
    ...(cause === undefined ? {} : { cause }),
  });
}

function remedies(
  description: AddonDescription,
  { host, attempts }: { host: AddonHost; attempts: readonly Attempt[] },
): string[] {
  // Then nothing that is installed or built helps.
  if (attempts.some(({ error }) => isBarred(error))) {
    return ['run Node without --no-addons, which is perhaps in NODE_OPTIONS'];
  }
  const { platform, version, packageFolder } = host;
  // The repository has this file, what people install has not.
  const inRepository = host.exists(join(packageFolder, 'tsup.config.ts'));
  const prebuilt = platformPackage(description.packageName, platform);
  const build = inRepository
    ? 'run `pnpm build`'
    : `run \`node ${join(packageFolder, 'scripts/build-native.mjs')}\``;
  return [
    ...(isPublished(description, platform) && !inRepository
      ? [
          `install ${prebuilt}@${version}, which package managers leave out where optional dependencies are off or the lock file was made on another system`,
        ]
      : []),
    `build from source: install ${buildTools(platform.split('-')[0])}, then ${build}`,
  ];
}

function thisMachine(module: string): AddonHost {
  // Platform packages are dependencies of the package whose module it is, not of this one.
  const require = createRequire(module);
  const manifest = require.resolve('../package.json');
  return {
    platform: platformName(),
    version: (require(manifest) as { version: string }).version,
    packageFolder: dirname(manifest),
    exists: existsSync,
    require,
  };
}
