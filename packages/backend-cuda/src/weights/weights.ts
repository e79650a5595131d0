import type { HostWeight, Program, WeightFormat, Weights } from '@rwkv-ts/backend';
import { checkWeight } from '@rwkv-ts/formats';
import { requireLive, sparseWeights } from '@rwkv-ts/program';
import { DeviceHolding } from '../device-holding.js';
import { encodeLaunches } from '../encode/arguments.js';
import { type WeightUse, weightUses } from '../encode/weight-uses.js';
import type { Engine } from '../engine.js';
import { packLaunch } from '../kernels/pack.js';
import { kernelIndex } from '../kernels/all.js';
import { type MatrixPlace, placeMatrix, type StoredMatrix, weightFormats } from './layout.js';
import { unpackMatrix } from './unpack.js';

/** A matrix in the layout of the products' kernels. */
export interface MatrixForm extends StoredMatrix {
  readonly address: number;
  readonly place: MatrixPlace;
}

/** A weight as the file has it, row after row; or as f32, where only the other form was there. */
export interface FileForm {
  readonly format: WeightFormat;
  readonly address: number;
  readonly rowBytes: number;
  readonly where: 'device' | 'host';
}

interface StoredWeight {
  readonly shape: readonly number[];
  readonly matrix: StoredMatrix;
  readonly fileBytes: number;
  packed?: MatrixForm;
  file?: FileForm;
}

export interface CudaWeightsOptions {
  /** The one they are for. */
  readonly program?: Program | undefined;
  readonly sparseColumns: boolean;
}

/** Bytes of a file that are on their way to the layout of the kernels at a time; one row may be more. */
const pieceBytes = 16 << 20;

/**
 * Weights on the device. Those of the program lie as its ops like: matrices in the layout of the products' kernels, tables in
 * memory of the host that the device reads over the bus, vectors as the file has them. What nobody told the use of
 * stays as the file has it; other forms are made when a program needs them.
 */
export class CudaWeights implements Weights {
  readonly #engine: Engine;
  readonly #holding: DeviceHolding;
  readonly #weights = new Map<string, StoredWeight>();
  readonly #uses: ReadonlyMap<string, ReadonlySet<WeightUse>>;
  readonly #columns: ReadonlySet<string>;
  /** What is being added or made. */
  #working: Promise<unknown> = Promise.resolve();
  /** Where pieces of the file wait for the kernel that packs them. */
  #piece: { holding: DeviceHolding; address: number; bytes: number } | undefined;
  #disposal: Promise<void> | undefined;

  constructor(engine: Engine, { program, sparseColumns }: CudaWeightsOptions) {
    this.#engine = engine;
    this.#holding = new DeviceHolding(engine);
    this.#uses = program ? weightUses(program) : new Map();
    this.#columns = program && sparseColumns ? sparseWeights(program) : new Set();
  }

  get bytes(): number {
    return this.#holding.bytes + (this.#piece?.holding.bytes ?? 0);
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.#weights.get(name)?.shape;
  }

  /** Format, layout and size; of a weight that was uploaded. */
  matrixOf(name: string): StoredMatrix {
    return this.#weights.get(name)!.matrix;
  }

  /** In the layout of the kernels; there once `make` said so. */
  packed(name: string): MatrixForm {
    return this.#weights.get(name)!.packed!;
  }

  /** As the file has it; there once `make` said so. */
  file(name: string): FileForm {
    return this.#weights.get(name)!.file!;
  }

  /** @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT`, `OUT_OF_MEMORY`, `DEVICE_LOST`, `DISPOSED` */
  async add(weight: HostWeight): Promise<void> {
    await this.#work(() => this.#add(weight));
  }

  /** When the last one was added. @throws BackendError `DEVICE_LOST`, `DISPOSED` */
  async finish(): Promise<void> {
    await this.#work(() => this.#dropPiece());
  }

  /** Makes the forms that the program needs. @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST`, `DISPOSED` */
  async make(program: Program): Promise<void> {
    await this.#work(async () => {
      for (const [name, uses] of weightUses(program)) {
        const weight = this.#weights.get(name);
        if (!weight) continue;
        if (uses.has('matrix') && !weight.packed) await this.#packFile(name, weight);
        if ((uses.has('table') || uses.has('parameter')) && !weight.file)
          await this.#unpack(name, weight);
      }
      await this.#dropPiece();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#working;
    this.#weights.clear();
    await this.#dropPiece();
    await this.#holding.release();
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
    const isPlain = format === 'f32' || format === 'f16' || format === 'bf16';
    const layout = isPlain && this.#columns.has(name) ? 'columns' : 'rows';
    const stored: StoredWeight = {
      shape: [...shape],
      matrix: { format, layout, ...size },
      fileBytes: bytes.length,
    };
    const uses = this.#uses.get(name);
    if (uses?.has('matrix')) await this.#pack(name, { stored, source: bytes });
    const isTable = uses?.has('table') ?? false;
    if (!uses || isTable || uses.has('parameter')) {
      await this.#keepFile(name, { stored, bytes, where: isTable ? 'host' : 'device' });
    }
    this.#weights.set(name, stored);
  }

  async #keepFile(
    name: string,
    parts: {
      stored: StoredWeight;
      bytes: Uint8Array;
      where: FileForm['where'];
      format?: WeightFormat;
    },
  ): Promise<void> {
    const { stored, bytes, where, format = stored.matrix.format } = parts;
    const what = `Weight ${name}`;
    // Kernels read whole words of 16 bytes at the end of a row, too.
    const address = await this.#holding.allocate({ bytes: padded(bytes.length), what, where });
    await this.#upload(address, bytes, what);
    stored.file = { format, address, rowBytes: bytes.length / stored.matrix.rows, where };
  }

  /** From the bytes of the file, or from where they lie on the device. */
  async #pack(
    name: string,
    { stored, source }: { stored: StoredWeight; source: Uint8Array | number },
  ): Promise<void> {
    const { matrix, fileBytes } = stored;
    const what = `Weight ${name}`;
    const place = placeMatrix(matrix);
    const address = await this.#holding.allocate({ bytes: place.bytes, what });
    const packed: MatrixForm = { ...matrix, address, place };
    const rowBytes = fileBytes / matrix.rows;
    const rowsAtOnce = Math.max(1, Math.floor(pieceBytes / rowBytes));
    const piece = await this.#pieceOf(Math.min(rowsAtOnce, matrix.rows) * rowBytes, what);
    for (let first = 0; first < matrix.rows; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, matrix.rows - first);
      const [from, bytes] = [first * rowBytes, count * rowBytes];
      if (typeof source === 'number') await this.#copy([piece, source + from, bytes]);
      else await this.#upload(piece, source.subarray(from, from + bytes), what);
      const { kernel, grid } = packLaunch({ ...matrix, rows: count });
      const values = { matrix: packed, source: piece, first, count };
      const launch = { kernel, index: kernelIndex(kernel), grid, values };
      await this.#engine.launch(encodeLaunches([launch]));
    }
    stored.packed = packed;
  }

  async #packFile(name: string, stored: StoredWeight): Promise<void> {
    await this.#pack(name, { stored, source: stored.file!.address });
  }

  /** Through the host, since it is for a program that the weights were not uploaded for. */
  async #unpack(name: string, stored: StoredWeight): Promise<void> {
    const { address, place, ...matrix } = stored.packed!;
    const { addon, handle } = this.#engine;
    const packed = new Uint8Array(place.bytes);
    const parts = Float64Array.of(address, 0, place.bytes);
    await this.#engine.guard(addon.download(handle, packed, parts), `Weight ${name}`);
    const bytes = new Uint8Array(unpackMatrix(matrix, packed).buffer);
    await this.#keepFile(name, { stored, bytes, where: 'device', format: 'f32' });
  }

  async #upload(to: number, bytes: Uint8Array, what: string): Promise<void> {
    const { addon, handle } = this.#engine;
    const parts = Float64Array.of(to, 0, bytes.length);
    await this.#engine.guard(addon.upload(handle, bytes, parts), what);
  }

  async #copy(part: readonly [to: number, from: number, bytes: number]): Promise<void> {
    const { addon, handle } = this.#engine;
    await this.#engine.guard(addon.copy(handle, Float64Array.from(part)), 'A copy');
  }

  async #pieceOf(bytes: number, what: string): Promise<number> {
    if (this.#piece && this.#piece.bytes >= bytes) return this.#piece.address;
    await this.#dropPiece();
    const holding = new DeviceHolding(this.#engine);
    const size = padded(bytes);
    const address = await holding.allocate({ bytes: size, what });
    this.#piece = { holding, address, bytes: size };
    return address;
  }

  async #dropPiece(): Promise<void> {
    const { holding } = this.#piece ?? {};
    this.#piece = undefined;
    await holding?.release();
  }
}

const padded = (bytes: number): number => Math.ceil(bytes / 256) * 256;
