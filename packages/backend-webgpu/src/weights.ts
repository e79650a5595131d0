import type { HostWeight, Weights } from '@rwkv-ts/backend';
import { bytesForShape, checkWeight } from '@rwkv-ts/formats';
import { outOfMemory, requireLive } from '@rwkv-ts/program';
import type { MatrixShape } from './encode/graph.js';
import type { Engine } from './engine.js';
import { Holding } from './memory.js';
import {
  cutParts,
  formatLayouts,
  type MatrixLayout,
  panelRows,
  rowWords,
  weightFormats,
} from './weights/layout.js';
import { type PagedPart, Pages } from './weights/pages.js';
import { isRegionAlready, repackColumns, repackRows } from './weights/repack.js';

/** One weight in device memory; vectors are matrices of one row. */
export interface StoredWeight extends MatrixShape {
  readonly shape: readonly number[];
}

/** Bytes that are repacked, or handed to the queue, at a time. */
const pieceBytes = 1 << 20;
/** Bytes that may wait in the queue before the next ones are made. */
const queueBytes = 1 << 26;
const sliceMilliseconds = 12;

/** Weights in device buffers, repacked as src/weights/layout.ts says. */
export class WebGpuWeights implements Weights {
  readonly #engine: Engine;
  readonly #holding: Holding;
  readonly #pages: Pages;
  readonly #weights = new Map<string, StoredWeight>();
  readonly #columns: ReadonlySet<string>;
  #disposal: Promise<void> | undefined;
  #adding: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #sliceStart = 0;

  /** `columns`: names of the matrices that had better lie in columns. */
  constructor(engine: Engine, { columns }: { readonly columns: ReadonlySet<string> }) {
    this.#engine = engine;
    this.#columns = columns;
    this.#holding = new Holding(engine.memory);
    const { context, maxBindingBytes: limit } = engine;
    this.#pages = new Pages(context, { holding: this.#holding, limit });
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  get(name: string): StoredWeight | undefined {
    return this.#weights.get(name);
  }

  /** When the last one was added. @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST`, `DISPOSED` */
  async finish(): Promise<void> {
    requireLive(this.disposed, 'backend');
    const closing = this.#pages.close();
    this.#adding = closing.catch(() => undefined);
    await closing;
    requireLive(this.disposed, 'backend');
    this.#engine.context.requireSound();
  }

  /** @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT`, `OUT_OF_MEMORY`, `DEVICE_LOST`, `DISPOSED` */
  async add(weight: HostWeight): Promise<void> {
    const added = this.#add(weight);
    this.#adding = added.catch(() => undefined);
    await added;
  }

  async #add(weight: HostWeight): Promise<void> {
    requireLive(this.disposed, 'weights handle');
    const { rows, columns } = checkWeight(weight, {
      formats: weightFormats,
      has: (name) => this.#weights.has(name),
    });
    const { name, shape, format } = weight;
    const { context, maxBindingBytes } = this.#engine;
    const cut = (each: MatrixLayout) =>
      cutParts(format, { rows, columns, layout: each }, maxBindingBytes);
    const hasBlocks = formatLayouts[format].scales !== 'none';
    const panels = hasBlocks || !this.#columns.has(name) ? [] : cut('columns');
    const layout: MatrixLayout = panels.length > 0 ? 'columns' : 'rows';
    const parts = panels.length > 0 ? panels : cut('rows');
    const what = `Weight ${name}`;
    if (parts.length === 0) {
      const words = rowWords(format, columns);
      const got = 32 * (words.quants + words.highs + words.scales);
      throw outOfMemory({
        what: `${what}, of which a binding has to hold 8 rows,`,
        expected: maxBindingBytes,
        got,
      });
    }
    const placed: PagedPart[] = [];
    for (const part of parts) {
      const own = await this.#pages.place(part, what);
      requireLive(this.disposed, 'weights handle');
      await this.#fill(own, { weight, columns, layout });
      placed.push(own);
    }
    requireLive(this.disposed, 'weights handle');
    context.requireSound();
    this.#weights.set(name, { shape: [...shape], format, rows, columns, layout, parts: placed });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#adding;
    await this.#engine.context.idle();
    this.#weights.clear();
    this.#holding.release();
  }

  /** In pieces, between which the event loop turns and the queue's own copies go. */
  async #fill(
    { page: { buffer }, offset, firstRow, rows, highsAt, scalesAt }: PagedPart,
    { weight, columns, layout }: { weight: HostWeight; columns: number; layout: MatrixLayout },
  ): Promise<void> {
    const { format, bytes, shape } = weight;
    const { queue } = this.#engine.context.device;
    const rowBytes = bytesForShape(format, shape) / (shape.reduce((a, b) => a * b, 1) / columns);
    const words = rowWords(format, columns);
    const unit = layout === 'columns' ? panelRows : 1;
    const step = unit * Math.max(1, Math.floor(pieceBytes / rowBytes / unit));
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row);
      const first = firstRow + row;
      if (layout === 'columns') {
        const panels = repackColumns({ format, columns }, { bytes, firstRow: first, count });
        queue.writeBuffer(buffer, offset + 4 * row * words.quants, panels);
      } else if (isRegionAlready(format, columns)) {
        const piece = bytes.subarray(first * rowBytes, (first + count) * rowBytes);
        queue.writeBuffer(buffer, offset + row * rowBytes, unshared(piece));
      } else {
        const { quants, highs, scales } = repackRows(
          { format, columns, rowBytes },
          { bytes, firstRow: first, count },
        );
        queue.writeBuffer(buffer, offset + 4 * row * words.quants, quants);
        if (highs.length > 0)
          queue.writeBuffer(buffer, offset + 4 * (highsAt + row * words.highs), highs);
        if (scales.length > 0)
          queue.writeBuffer(buffer, offset + 4 * (scalesAt + row * words.scales), scales);
      }
      await this.#breathe(count * rowBytes);
      requireLive(this.disposed, 'weights handle');
    }
  }

  async #breathe(bytes: number): Promise<void> {
    this.#queued += bytes;
    if (this.#queued > queueBytes) {
      this.#queued = 0;
      await this.#engine.context.idle();
    }
    if (performance.now() - this.#sliceStart < sliceMilliseconds) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#sliceStart = performance.now();
  }
}

/** The queue takes no shared memory. */
function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
