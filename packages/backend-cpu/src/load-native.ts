/**
 * Finds and loads the addon: what was built here from source, then the prebuilt platform package, an optional
 * dependency. Whatever goes wrong is one `DEVICE_UNAVAILABLE` that says what was tried, why it failed and what to do.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BackendError } from '@rwkv-ts/backend';
import { buildTools, platformName, platforms } from '../scripts/platform.mjs';
import type { NativeAddon } from './native.js';

/** What the search asks of the machine; a test gives its own. */
export interface NativeHost {
  /** As `platformName()` has it: linux-x64-gnu, darwin-arm64, … */
  readonly platform: string;
  /** This package's version, which the addon must have too: the two share a private interface. */
  readonly version: string;
  readonly packageFolder: string;
  exists(path: string): boolean;
  /** Throws as `require` does. */
  require(id: string): unknown;
}

interface Attempt {
  readonly tried: string;
  readonly problem: string;
  readonly error?: unknown;
}

/** An addon, and what it was found as. */
export interface FoundAddon {
  readonly addon: NativeAddon;
  /** For people: `the package @rwkv-ts/backend-cpu-linux-x64-gnu`, for example. */
  readonly source: string;
}

export function loadNative(host?: NativeHost): NativeAddon {
  return findNative(host).addon;
}

export function findNative(host: NativeHost = thisMachine()): FoundAddon {
  const attempts: Attempt[] = [];
  for (const { tried, id, missing } of candidates(host)) {
    if (missing !== undefined) {
      attempts.push({ tried, problem: missing });
      continue;
    }
    const outcome = tryToLoad(host, id);
    if ('addon' in outcome) return { addon: outcome.addon, source: tried };
    attempts.push({ tried, ...outcome });
  }
  throw unavailable(host, attempts);
}

/** The platform package's name; also where there is none. */
export function platformPackage(platform: string): string {
  return `@rwkv-ts/backend-cpu-${platform}`;
}

function candidates(host: NativeHost): { tried: string; id: string; missing?: string }[] {
  const local = join(host.packageFolder, 'prebuilds', host.platform, 'rwkv_cpu.node');
  const prebuilt = platformPackage(host.platform);
  return [
    {
      tried: `the build from source ${local}`,
      id: local,
      ...(host.exists(local) ? {} : { missing: 'not there' }),
    },
    {
      tried: `the package ${prebuilt}`,
      id: prebuilt,
      ...(host.platform in platforms ? {} : { missing: 'no such package is published' }),
    },
  ];
}

function tryToLoad(
  host: NativeHost,
  id: string,
): { addon: NativeAddon } | { problem: string; error?: unknown } {
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
  return { addon: loaded as NativeAddon };
}

function isMissing(error: unknown): boolean {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND';
}

function isBarred(error: unknown): boolean {
  return (error as { code?: unknown } | null | undefined)?.code === 'ERR_DLOPEN_DISABLED';
}

function unavailable(host: NativeHost, attempts: readonly Attempt[]): BackendError {
  const { platform, version, packageFolder } = host;
  // The repository has this file, what people install has not.
  const inRepository = host.exists(join(packageFolder, 'tsup.config.ts'));
  const build = inRepository
    ? 'run `pnpm build`'
    : `run \`node ${join(packageFolder, 'scripts/build-native.mjs')}\``;
  // Then nothing that is installed or built helps.
  const barred = attempts.some(({ error }) => isBarred(error));
  const remedies = [
    ...(barred ? ['run Node without --no-addons, which is perhaps in NODE_OPTIONS'] : []),
    ...(platform in platforms && !inRepository && !barred
      ? [
          `install ${platformPackage(platform)}@${version}, which package managers leave out where optional dependencies are off or the lock file was made on another system`,
        ]
      : []),
    ...(barred
      ? []
      : [`build from source: install ${buildTools(platform.split('-')[0])}, then ${build}`]),
  ];
  // An error of the loader tells more than a file that is not there.
  const cause = attempts.find(({ error }) => error !== undefined)?.error;
  return new BackendError({
    code: 'DEVICE_UNAVAILABLE',
    message: [
      `The native CPU backend ${version} cannot be loaded on ${platform}. Tried:`,
      ...attempts.map(({ tried, problem }) => `- ${tried}: ${problem}`),
      'What helps:',
      ...remedies.map((remedy) => `- ${remedy}`),
    ].join('\n'),
    expected: `an addon of version ${version} for ${platform}`,
    got: attempts.map(({ tried, problem }) => `${tried}: ${problem}`),
    ...(cause === undefined ? {} : { cause }),
  });
}

function thisMachine(): NativeHost {
  const require = createRequire(import.meta.url);
  // One folder up from src and from dist alike.
  const manifest = require.resolve('../package.json');
  return {
    platform: platformName(),
    version: (require(manifest) as { version: string }).version,
    packageFolder: dirname(manifest),
    exists: existsSync,
    require,
  };
}
