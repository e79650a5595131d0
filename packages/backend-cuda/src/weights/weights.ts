import type { HostWeight, Op, Program, Weights } from '@rwkv-ts/backend';
import { checkWeight } from '@rwkv-ts/formats';
import { lowerHeadNorms, requireLive, sparseWeights } from '@rwkv-ts/program';
import { isRefusal } from '../device-holding.js';
import { type WeightUse, weightUses } from '../encode/weight-uses.js';
import type { Engine } from '../engine.js';
import { type Cut, cutByShares } from '../split/cut.js';
import {
  DeviceWeights,
  type FileForm,
  type MatrixForm,
  type StoredWeight,
} from './device-weights.js';
import { formatLayouts, type StoredMatrix, weightFormats } from './layout.js';

export interface CudaWeightsOptions {
  /** The one they are for. */
  readonly program?: Program | undefined;
  readonly sparseColumns: boolean;
  /** What each of the devices can take. */
  readonly shares: readonly number[];
}

/** What of a weight a device needs, by name. */
type DeviceUses = ReadonlyMap<string, ReadonlySet<WeightUse>>;

/**
 * Weights on the devices. Those of the program lie as its ops like, where its ops are: matrices in the layout of the
 * products' kernels, tables in memory of the host that the device reads over the bus, vectors as the file has them. What
 * nobody told the use of stays as the file has it, on the device that is emptiest against its share. Other forms, and forms
 * on other devices, are made when a program needs them.
 */
export class CudaWeights implements Weights {
  readonly #devices: readonly DeviceWeights[];
  readonly #shares: readonly number[];
  readonly #weights = new Map<string, StoredWeight>();
  /** Of each device. */
  readonly #uses: readonly DeviceUses[];
  readonly #columns: ReadonlySet<string>;
  /** What is being added or made. */
  #working: Promise<unknown> = Promise.resolve();
  #hasHomes: boolean;
  #disposal: Promise<void> | undefined;

  constructor(engines: readonly Engine[], { program, sparseColumns, shares }: CudaWeightsOptions) {
    this.#devices = engines.map((engine) => new DeviceWeights(engine));
    this.#shares = shares;
    this.#uses = program ? usesByShares(program, shares) : [];
    this.#hasHomes = program !== undefined;
    this.#columns = program && sparseColumns ? sparseWeights(program) : new Set();
  }

  get bytes(): number {
    return this.#devices.reduce((total, { bytes }) => total + bytes, 0);
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** Whether some program told where they should lie. */
  get hasHomes(): boolean {
    return this.#hasHomes;
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.#weights.get(name)?.shape;
  }

  /** Format, layout and size; of a weight that was uploaded. */
  matrixOf(name: string): StoredMatrix {
    return this.#weights.get(name)!.matrix;
  }

  /** In the layout of the kernels; there once `make` said so. */
  packed(name: string, device: number): MatrixForm {
    return this.#devices[device]!.packed(name)!;
  }

  /** As the file has it; there once `make` said so. */
  file(name: string, device: number): FileForm {
    return this.#devices[device]!.file(name)!;
  }

  /** Of the op's weights, in the device's memory: all of them, or those that the device lacks. */
  bytesOf(op: Op, lackedBy?: number): number {
    let total = 0;
    for (const [name, uses] of weightUses({ ops: [op] })) {
      const { fileBytes } = this.#weights.get(name)!;
      if (lackedBy === undefined) total += uses.has('table') ? 0 : fileBytes;
      else if (this.#lacks(name, uses, lackedBy)) total += fileBytes;
    }
    return total;
  }

  /** @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT`, `OUT_OF_MEMORY`, `DEVICE_LOST`, `DISPOSED` */
  async add(weight: HostWeight): Promise<void> {
    await this.#work(() => this.#add(weight));
  }

  /** When the last one was added. @throws BackendError `DEVICE_LOST`, `DISPOSED` */
  async finish(): Promise<void> {
    await this.#work(() => this.#dropPieces());
  }

  /** Makes the forms that the ops need, each on its device. @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST`, `DISPOSED` */
  async make({ ops }: Pick<Program, 'ops'>, cut: Cut): Promise<void> {
    this.#hasHomes = true;
    await this.#work(async () => {
      for (const [device, own] of this.#devices.entries()) {
        for (const [name, uses] of weightUses({ ops: ops.filter((_, at) => cut[at] === device) })) {
          const weight = this.#weights.get(name);
          if (!weight) continue;
          if (uses.has('matrix') && !own.packed(name)) await own.makePacked(weight, this.#devices);
          if (needsFile(uses) && !own.file(name)) {
            const where = uses.has('table') ? 'host' : 'device';
            await own.makeFile(weight, this.#devices, where);
          }
        }
      }
      await this.#dropPieces();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#working;
    this.#weights.clear();
    await Promise.all(this.#devices.map((device) => device.release()));
  }

  /** One after the other. */
  async #work(work: () => Promise<void>): Promise<void> {
    const done = this.#working.then(async () => {
      requireLive(this.disposed, 'weights handle');
      await work();
    });
    this.#working = done.catch(() => undefined);
    await done;
    requireLive(this.disposed, 'weights handle');
  }

  async #add(weight: HostWeight): Promise<void> {
    const { name, shape, format, bytes } = weight;
    const has = (each: string) => this.#weights.has(each);
    const size = checkWeight(weight, { formats: weightFormats, largestSize: 2 ** 32 - 1, has });
    const isPlain = formatLayouts[format].block === 1;
    const layout = isPlain && this.#columns.has(name) ? 'columns' : 'rows';
    const matrix = { format, layout, ...size } as const;
    const stored: StoredWeight = { name, shape: [...shape], matrix, fileBytes: bytes.length };
    let isUsed = false;
    for (const [device, all] of this.#uses.entries()) {
      const uses = all.get(name);
      if (!uses) continue;
      isUsed = true;
      if (uses.has('matrix')) await this.#devices[device]!.pack(stored, bytes);
      if (needsFile(uses)) {
        await this.#devices[device]!.keep(stored, bytes, uses.has('table') ? 'host' : 'device');
      }
    }
    if (!isUsed) await this.#keepSomewhere(stored, bytes);
    this.#weights.set(name, stored);
  }

  /** On the first device with room; they are asked in the order of how full they would be against their shares. */
  async #keepSomewhere(stored: StoredWeight, bytes: Uint8Array): Promise<void> {
    const fill = (at: number) => (this.#devices[at]!.bytes + bytes.length) / this.#shares[at]!;
    const order = [...this.#devices.keys()].sort((a, b) => fill(a) - fill(b));
    for (const [attempt, device] of order.entries()) {
      try {
        await this.#devices[device]!.keep(stored, bytes, 'device');
        return;
      } catch (error) {
        if (!isRefusal(error) || attempt === order.length - 1) throw error;
      }
    }
  }

  #lacks(name: string, uses: ReadonlySet<WeightUse>, device: number): boolean {
    const own = this.#devices[device]!;
    return (uses.has('matrix') && !own.packed(name)) || (needsFile(uses) && !own.file(name));
  }

  async #dropPieces(): Promise<void> {
    for (const device of this.#devices) await device.dropPiece();
  }
}

const needsFile = (uses: ReadonlySet<WeightUse>): boolean =>
  uses.has('table') || uses.has('parameter');

/**
 * What each device needs for its part of the program. Before the first tensor has come, sizes are counted in numbers, as
 * if all had one format; tables are not counted, since they lie in the host's memory.
 */
function usesByShares(given: Program, shares: readonly number[]): DeviceUses[] {
  if (shares.length === 1) return [weightUses(given)];
  const program = lowerHeadNorms(given);
  const { ops } = program;
  const counts = new Map(
    program.weights.map(({ name, shape }) => [
      name,
      shape.reduce((count, size) => count * size, 1),
    ]),
  );
  const bytesOf = (op: Op): number =>
    [...weightUses({ ops: [op] })].reduce(
      (total, [name, uses]) => total + (uses.has('table') ? 0 : (counts.get(name) ?? 0)),
      0,
    );
  const cut = cutByShares(program, { shares, bytesOf });
  return shares.map((_, device) =>
    weightUses({ ops: ops.filter((_op, at) => cut[at] === device) }),
  );
}
