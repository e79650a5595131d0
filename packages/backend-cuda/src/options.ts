export interface CudaBackendOptions {
  /** Which device, as the driver counts them. Default 0. */
  readonly device?: number;
  /**
   * In the place of `device`: several, over which every model is split, so that each computes a run of its layers. Values
   * go from one to the next in this order.
   */
  readonly devices?: readonly number[];
  /**
   * How much of a model each of `devices` takes, in any unit; 0 is nothing. Default: as much as it has memory free, when
   * weights or states are made.
   */
  readonly shares?: readonly number[];
  /**
   * Whether what goes from device to device may go straight, instead of through the host's memory. Default `auto`: where
   * the driver says so and a trial arrives.
   */
  readonly peerCopies?: 'auto' | 'never';
  /** Bytes that all handles together may hold, of the device's memory and the host's. Default: no limit but theirs. */
  readonly memoryLimit?: number;
  /**
   * Whether products of many rows use matrix units, which round activations to 16 bits where weights have 16 bits or
   * fewer. Default `auto`: where the device has them.
   */
  readonly matrixUnits?: 'auto' | 'never';
  /**
   * Whether the second channel-mix matrix, where it is f32, f16 or bf16, lies in columns, so that a step of a few tokens
   * reads only those that relu² left. Default `auto`: it does.
   */
  readonly sparseColumns?: 'auto' | 'never';
  /** How long the idle thread of the device spins before it sleeps, in microseconds. Default 100. */
  readonly spinMicroseconds?: number;
  /** The driver's library; default the system's. Another one is for tests without a device. */
  readonly driver?: string;
  /** Fatbins to load in the place of the package's own. */
  readonly kernels?: readonly Uint8Array[];
}

/** @throws TypeError */
export function checkOptions(options: CudaBackendOptions): void {
  const { memoryLimit = 0, spinMicroseconds = 0, driver = '' } = options;
  if (options.device !== undefined && options.devices !== undefined)
    throw new TypeError('device and devices exclude each other; got both.');
  checkDevices(devicesOf(options));
  checkShares(options);
  requireInteger('spinMicroseconds', spinMicroseconds, 1_000_000);
  if (typeof memoryLimit !== 'number' || !(memoryLimit >= 0))
    throw new TypeError(`memoryLimit must be a number of bytes, got ${String(memoryLimit)}.`);
  if (typeof driver !== 'string')
    throw new TypeError(`driver must be the path of a library, got ${typeof driver}.`);
  for (const name of ['matrixUnits', 'sparseColumns', 'peerCopies'] as const) {
    const value: unknown = options[name] ?? 'auto';
    if (value !== 'auto' && value !== 'never')
      throw new TypeError(`${name} must be auto or never, got ${String(value)}.`);
  }
}

/** In the order of the layers. */
export const devicesOf = ({
  device = 0,
  devices = [device],
}: CudaBackendOptions): readonly number[] => devices;

const mostOrdinal = 65_535;

function checkDevices(devices: readonly number[]): void {
  if (!Array.isArray(devices) || devices.length === 0)
    throw new TypeError(`devices must be a list of at least one, got ${JSON.stringify(devices)}.`);
  for (const device of devices) requireInteger('device', device as number, mostOrdinal);
  if (new Set(devices).size < devices.length)
    throw new TypeError(`devices must have each of them once, got ${devices.join(', ')}.`);
}

function checkShares({ devices, shares }: CudaBackendOptions): void {
  if (shares === undefined) return;
  const count = devices?.length ?? 1;
  const isShare = (share: unknown) => typeof share === 'number' && share >= 0 && share < Infinity;
  const fits = Array.isArray(shares) && shares.length === count && shares.every(isShare);
  if (fits && shares.some((share) => share > 0)) return;
  throw new TypeError(
    `shares must be ${count} numbers from 0, not all of them 0, got ${JSON.stringify(shares)}.`,
  );
}

function requireInteger(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= most) return;
  throw new TypeError(`${name} must be an integer from 0 to ${most}, got ${String(value)}.`);
}
