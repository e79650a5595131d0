/** The backends this app was built with. An app picks backends by importing them; nothing in the packages knows this list. */
import { type Backend, RwkvError } from '@rwkv-ts/backend';
import { addonInformation, type CpuBackend, createCpuBackend } from '@rwkv-ts/backend-cpu';
import { createCudaBackend, type CudaBackend, type CudaDevice } from '@rwkv-ts/backend-cuda';
import { createWebGpuBackend, type WebGpuBackend } from '@rwkv-ts/backend-webgpu';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { UsageError } from './failure.js';

/** What the command line may say about how to compute. */
export interface BackendSettings {
  readonly threads?: number;
  readonly instructions?: string;
  /** At least one. */
  readonly device?: readonly number[];
}

/** By words that people read. */
export type BackendFacts = Readonly<Record<string, string | readonly string[]>>;

export interface BackendChoice {
  readonly name: string;
  readonly description: string;
  /** Which settings it takes; the others are a mistake. */
  readonly takes: readonly (keyof BackendSettings)[];
  /** @throws BackendError `DEVICE_UNAVAILABLE` where it cannot work here */
  create(settings?: BackendSettings): Promise<Backend>;
  /** What a report about this machine says of it beyond its name, after some work on `made`, which `create` gave. */
  facts?(made: readonly Backend[]): BackendFacts;
}

/** In order of preference: `auto` is the first that works here, and the last ones are only taken by name. */
export const backends: readonly BackendChoice[] = [
  {
    name: 'cpu',
    description: 'native code; takes --threads and --instructions',
    takes: ['threads', 'instructions'],
    create: async (settings = {}) => {
      checkInstructions(settings.instructions);
      return createCpuBackend(settings);
    },
    facts: () => {
      const { version, source, instructions } = addonInformation();
      return { addon: `${source}, version ${version}`, instructions };
    },
  },
  {
    name: 'reference',
    description: 'plain TypeScript, f32: works everywhere, slowly',
    takes: [],
    create: async () => createReferenceBackend({ precision: 'f32' }),
  },
  {
    name: 'reference-f64',
    description: 'plain TypeScript, f64: the exact mathematics, for checking',
    takes: [],
    create: async () => createReferenceBackend({ precision: 'f64' }),
  },
  {
    name: 'webgpu',
    description: 'WGSL on a GPU; needs the package webgpu@0.6.2',
    takes: [],
    create: async () => createWebGpuBackend(),
    facts: (made) => {
      const backends = made as readonly WebGpuBackend[];
      const refused = new Map(
        backends.flatMap(({ fallbacks }) =>
          fallbacks.map(({ kernel, reason }) => [kernel, reason]),
        ),
      );
      return {
        tier: backends[0]?.tier ?? 'none',
        'kernels replaced by safer ones':
          refused.size === 0 ? 'none' : [...refused].map(([kernel, why]) => `${kernel} (${why})`),
      };
    },
  },
  {
    name: 'cuda',
    description: 'CUDA on NVIDIA GPUs; takes --device',
    takes: ['device'],
    create: async ({ device } = {}) =>
      createCudaBackend(device === undefined ? {} : { devices: device }),
    facts: (made) => {
      const [{ devices } = {}] = made as readonly CudaBackend[];
      return devices === undefined ? {} : cudaFacts(devices);
    },
  },
];

const gibibytes = ({ memoryBytes }: CudaDevice): string =>
  `${(memoryBytes / 2 ** 30).toFixed(1)} GiB`;

/** Of each device, in their order; what is alike is told once. */
export function cudaFacts(devices: readonly CudaDevice[]): BackendFacts {
  const told = (tell: (device: CudaDevice) => string): string | readonly string[] => {
    const all = devices.map(tell);
    return new Set(all).size === 1 ? all[0]! : all;
  };
  return {
    'compute capability': told(({ computeCapability }) => computeCapability),
    'CUDA of the driver': told(({ driverVersion }) => driverVersion),
    // Of each, since sizes add up.
    memory: devices.length === 1 ? gibibytes(devices[0]!) : devices.map(gibibytes),
  };
}

const aliases: Readonly<Record<string, string>> = {
  'reference-f32': 'reference',
  f32: 'reference',
  f64: 'reference-f64',
};

function findBackend(name: string): BackendChoice {
  const wanted = aliases[name] ?? name;
  const choice = backends.find((backend) => backend.name === wanted);
  if (choice) return choice;
  const known = ['auto', ...backends.map((backend) => backend.name)];
  throw new UsageError(`there is no backend '${name}'; this build has ${known.join(', ')}.`);
}

/** The backend that a name and settings mean. `auto` with settings is the first that takes them. */
export function chooseBackend(name: string, settings: BackendSettings): BackendChoice {
  const given = Object.keys(settings) as (keyof BackendSettings)[];
  const takesAll = ({ takes }: BackendChoice) => given.every((setting) => takes.includes(setting));
  const takers = backends.filter(takesAll);
  const choice = name === 'auto' ? takers[0] : findBackend(name);
  if (choice && takesAll(choice)) return choice;
  const flags = given.map((setting) => `--${setting}`).join(' and ');
  const names = takers.map((backend) => backend.name).join(', ');
  const others = names === '' ? 'no backend takes them all' : `for these there is ${names}`;
  throw new UsageError(`the backend '${name}' takes no ${flags}; ${others}.`);
}

/**
 * The backend of `--backend`. `auto` is the first that works here, and tells `warn` about those before it that do not;
 * with settings it is the one that takes them, and no other.
 */
export async function createBackend(
  name: string,
  { settings = {}, warn }: { settings?: BackendSettings; warn: (text: string) => void },
): Promise<Backend> {
  if (name !== 'auto' || Object.keys(settings).length > 0)
    return chooseBackend(name, settings).create(settings);
  const failures: { choice: BackendChoice; error: RwkvError }[] = [];
  for (const choice of backends) {
    try {
      const backend = await choice.create();
      for (const { choice: failed, error } of failures) warn(fallbackLine(failed, choice, error));
      return backend;
    } catch (error) {
      if (!RwkvError.isInstance(error) || error.code !== 'DEVICE_UNAVAILABLE') throw error;
      failures.push({ choice, error });
    }
  }
  throw failures[0]!.error;
}

/** The backend, where it writes its weights to files and maps them from there. */
export function packingBackend(backend: Backend): CpuBackend | undefined {
  const packs = 'openPacked' in backend && 'writePacked' in backend;
  return packs ? (backend as CpuBackend) : undefined;
}

/** Why on one line; the error's own text has more, with what to do about it. */
function fallbackLine(failed: BackendChoice, used: BackendChoice, error: RwkvError): string {
  const [first = ''] = error.message.split('\n');
  const what = first.replace(/\.(?: Tried:)?$/, '');
  const cause = error.cause instanceof Error ? error.cause.message.split('\n')[0] : undefined;
  const why = cause === undefined ? '' : ` (${cause.replace(/\.$/, '')})`;
  return `${what}${why}; computing with ${used.name}, which is slower. \`rwkv doctor --backend ${failed.name}\` says what to do.`;
}

/** A typo is a mistake of the command line, and no reason to say that the machine lacks something. */
function checkInstructions(name: string | undefined): void {
  if (name === undefined) return;
  const available = ['auto', ...addonInformation().instructions];
  if (available.includes(name)) return;
  throw new UsageError(
    `the instructions '${name}' are not available here; there are ${available.join(', ')}.`,
  );
}
