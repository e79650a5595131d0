export interface CudaBackendOptions {
  /** Which device, as the driver counts them. Default 0. */
  readonly device?: number;
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
  const { device = 0, memoryLimit = 0, spinMicroseconds = 0, driver = '' } = options;
  requireInteger('device', device, 65_535);
  requireInteger('spinMicroseconds', spinMicroseconds, 1_000_000);
  if (typeof memoryLimit !== 'number' || !(memoryLimit >= 0))
    throw new TypeError(`memoryLimit must be a number of bytes, got ${String(memoryLimit)}.`);
  if (typeof driver !== 'string')
    throw new TypeError(`driver must be the path of a library, got ${typeof driver}.`);
  for (const name of ['matrixUnits', 'sparseColumns'] as const) {
    const value: unknown = options[name] ?? 'auto';
    if (value !== 'auto' && value !== 'never')
      throw new TypeError(`${name} must be auto or never, got ${String(value)}.`);
  }
}

function requireInteger(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= most) return;
  throw new TypeError(`${name} must be an integer from 0 to ${most}, got ${String(value)}.`);
}
