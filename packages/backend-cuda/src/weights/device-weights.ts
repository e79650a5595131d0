/** The weights of one handle on one of its devices, in the forms that programs need there. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { DeviceHolding } from '../device-holding.js';
import { encodeLaunches } from '../encode/arguments.js';
import type { Engine } from '../engine.js';
import { kernelIndex } from '../kernels/all.js';
import { packLaunch } from '../kernels/pack.js';
import { type MatrixPlace, placeMatrix, type StoredMatrix } from './layout.js';
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
  readonly bytes: number;
  readonly rowBytes: number;
  readonly where: 'device' | 'host';
}

/** What a weight is on every device. */
export interface StoredWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly matrix: StoredMatrix;
  readonly fileBytes: number;
}

/** Brings bytes of something, from an offset on, to an address of the device. */
type Bring = (to: number, from: number, bytes: number) => Promise<void>;

/** Bytes that are on their way at a time; one row of a matrix may be more. */
const pieceBytes = 16 << 20;

export class DeviceWeights {
  readonly engine: Engine;
  readonly #holding: DeviceHolding;
  readonly #packed = new Map<string, MatrixForm>();
  readonly #files = new Map<string, FileForm>();
  /** Where pieces of the file wait for the kernel that packs them. */
  #piece: { holding: DeviceHolding; address: number; bytes: number } | undefined;

  constructor(engine: Engine) {
    this.engine = engine;
    this.#holding = new DeviceHolding(engine);
  }

  get bytes(): number {
    return this.#holding.bytes + (this.#piece?.holding.bytes ?? 0);
  }

  packed(name: string): MatrixForm | undefined {
    return this.#packed.get(name);
  }

  file(name: string): FileForm | undefined {
    return this.#files.get(name);
  }

  /** As the file has it. */
  async keep(stored: StoredWeight, bytes: Uint8Array, where: FileForm['where']): Promise<void> {
    const { format } = stored.matrix;
    await this.#keep(stored, { format, bytes: bytes.length, where }, this.#fromHost(bytes));
  }

  /** From the bytes of the file. */
  async pack(stored: StoredWeight, bytes: Uint8Array): Promise<void> {
    await this.#pack(stored, this.#fromHost(bytes));
  }

  /** From a form that the devices have. */
  async makePacked(stored: StoredWeight, all: readonly DeviceWeights[]): Promise<void> {
    const { name } = stored;
    // One that was made of the other form is of another format, but then that form is there.
    const isFile = ({ format }: Partial<FileForm> = {}) => format === stored.matrix.format;
    const packer = all.find((each) => each.packed(name));
    if (packer && !isFile(this.file(name))) return this.#takePacked(stored, packer);
    const keeper = [this, ...all].find((each) => isFile(each.file(name)))!;
    return this.#pack(stored, this.#fromDevice(keeper.engine, keeper.file(name)!.address));
  }

  /** From a form that the devices have. */
  async makeFile(
    stored: StoredWeight,
    all: readonly DeviceWeights[],
    where: FileForm['where'],
  ): Promise<void> {
    const { name } = stored;
    // What is here already needs no way.
    const nearest = [this, ...all];
    const keeper = nearest.find((each) => each.file(name));
    if (keeper) {
      const { address, format, bytes } = keeper.file(name)!;
      return this.#keep(stored, { format, bytes, where }, this.#fromDevice(keeper.engine, address));
    }
    const unpacked = await nearest.find((each) => each.packed(name))!.#unpack(name);
    const form = { format: 'f32', bytes: unpacked.length, where: 'device' } as const;
    return this.#keep(stored, form, this.#fromHost(unpacked));
  }

  /** When nothing is to be packed for now. */
  async dropPiece(): Promise<void> {
    const { holding } = this.#piece ?? {};
    this.#piece = undefined;
    await holding?.release();
  }

  async release(): Promise<void> {
    this.#packed.clear();
    this.#files.clear();
    await this.dropPiece();
    await this.#holding.release();
  }

  async #keep(
    { name, matrix }: StoredWeight,
    { format, bytes, where }: Pick<FileForm, 'format' | 'bytes' | 'where'>,
    bring: Bring,
  ): Promise<void> {
    // Kernels read whole words of 16 bytes at the end of a row, too.
    const request = { bytes: padded(bytes), what: `Weight ${name}`, where };
    const address = await this.#holding.allocate(request);
    await bring(address, 0, bytes);
    this.#files.set(name, { format, address, bytes, rowBytes: bytes / matrix.rows, where });
  }

  async #pack({ name, matrix, fileBytes }: StoredWeight, bring: Bring): Promise<void> {
    const what = `Weight ${name}`;
    const place = placeMatrix(matrix);
    const address = await this.#holding.allocate({ bytes: place.bytes, what });
    const packed: MatrixForm = { ...matrix, address, place };
    const rowBytes = fileBytes / matrix.rows;
    const rowsAtOnce = Math.max(1, Math.floor(pieceBytes / rowBytes));
    const piece = await this.#pieceOf(Math.min(rowsAtOnce, matrix.rows) * rowBytes, what);
    for (let first = 0; first < matrix.rows; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, matrix.rows - first);
      await bring(piece, first * rowBytes, count * rowBytes);
      const { kernel, grid } = packLaunch({ ...matrix, rows: count });
      const values = { matrix: packed, source: piece, first, count };
      const launch = { kernel, index: kernelIndex(kernel), grid, values };
      await this.engine.launch(encodeLaunches([launch]));
    }
    this.#packed.set(name, packed);
  }

  async #takePacked({ name }: StoredWeight, packer: DeviceWeights): Promise<void> {
    const form = packer.packed(name)!;
    const { bytes } = form.place;
    const address = await this.#holding.allocate({ bytes, what: `Weight ${name}` });
    await this.#fromDevice(packer.engine, form.address)(address, 0, bytes);
    this.#packed.set(name, { ...form, address });
  }

  /** Through the host, since it is for a program that the weights were not uploaded for. */
  async #unpack(name: string): Promise<Uint8Array> {
    const { address, place, ...matrix } = this.#packed.get(name)!;
    const packed = await download(this.engine, address, place.bytes);
    return new Uint8Array(unpackMatrix(matrix, packed).buffer);
  }

  #fromHost(source: Uint8Array): Bring {
    return async (to, from, bytes) => {
      const { addon, handle } = this.engine;
      const parts = Float64Array.of(to, 0, bytes);
      const piece = source.subarray(from, from + bytes);
      await this.engine.guard(addon.upload(handle, piece, parts), 'A weight');
    };
  }

  /** Through the host where it is another one: that happens when a program is compiled, and not in steps. */
  #fromDevice(engine: Engine, source: number): Bring {
    if (engine === this.engine) return (to, from, bytes) => this.#copy([to, source + from, bytes]);
    return async (to, from, bytes) => {
      for (let done = 0; done < bytes; done += pieceBytes) {
        const length = Math.min(pieceBytes, bytes - done);
        const piece = await download(engine, source + from + done, length);
        await this.#fromHost(piece)(to + done, 0, length);
      }
    };
  }

  async #copy(part: readonly [to: number, from: number, bytes: number]): Promise<void> {
    const { addon, handle } = this.engine;
    await this.engine.guard(addon.copy(handle, Float64Array.from(part)), 'A copy');
  }

  async #pieceOf(bytes: number, what: string): Promise<number> {
    if (this.#piece && this.#piece.bytes >= bytes) return this.#piece.address;
    await this.dropPiece();
    const holding = new DeviceHolding(this.engine);
    const size = padded(bytes);
    const address = await holding.allocate({ bytes: size, what });
    this.#piece = { holding, address, bytes: size };
    return address;
  }
}

async function download(engine: Engine, from: number, bytes: number): Promise<Uint8Array> {
  const parts = Float64Array.of(from, 0, bytes);
  const downloading = engine.addon.download(engine.handle, new Uint8Array(bytes), parts);
  return engine.guard(downloading, 'A weight');
}

const padded = (bytes: number): number => Math.ceil(bytes / 256) * 256;
