/**
 * Weights share buffers (**pages**), so that one binding reaches many of them: products whose matrices lie in one page go
 * into one dispatch. A page is made before its contents are known, so it is made larger than what asks for it, and cut to
 * what it holds when it is full.
 */
import { bufferUsage } from '../device/constants.js';
import type { DeviceContext } from '../device/device-context.js';
import type { Holding } from '../memory.js';
import type { PartLayout } from './layout.js';

export interface Page {
  readonly buffer: GPUBuffer;
}

/** A part of a matrix in its page, from `offset` bytes on. */
export interface PagedPart extends PartLayout {
  readonly page: Page;
  readonly offset: number;
}

interface OpenPage extends Page {
  buffer: GPUBuffer;
  used: number;
}

const smallestPage = 1 << 16;
const largestPage = 1 << 27;
/** Bindings of other element types begin at multiples of 16; cache lines at 128. */
const alignment = 256;
const usage = bufferUsage.storage | bufferUsage.copyDestination | bufferUsage.copySource;

export class Pages {
  readonly #context: DeviceContext;
  readonly #holding: Holding;
  readonly #limit: number;
  #open: OpenPage | undefined;
  #next = smallestPage;

  /** `limit`: bytes that a binding holds. */
  constructor(context: DeviceContext, { holding, limit }: { holding: Holding; limit: number }) {
    this.#context = context;
    this.#holding = holding;
    this.#limit = Math.min(limit, largestPage);
  }

  /** @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST` */
  async place(part: PartLayout, what: string): Promise<PagedPart> {
    const bytes = Math.ceil(part.bytes / alignment) * alignment;
    // What fills half a page would leave much of another one empty.
    if (bytes > this.#limit / 2) {
      const own = { bytes: part.bytes, usage, what, holding: this.#holding };
      return { ...part, page: { buffer: await this.#context.createBuffer(own) }, offset: 0 };
    }
    this.#holding.take(bytes, what);
    if (!this.#open || this.#open.used + bytes > this.#open.buffer.size) {
      await this.close();
      this.#open = { buffer: await this.#create(bytes, what), used: 0 };
    }
    const page = this.#open;
    const offset = page.used;
    page.used += bytes;
    return { ...part, page, offset };
  }

  /** Cuts the page that is open to what it holds; everything written to it must be queued. */
  async close(): Promise<void> {
    const page = this.#open;
    this.#open = undefined;
    if (!page || page.used === page.buffer.size) return;
    const large = page.buffer;
    const small = await this.#buffer(page.used, 'Weights').catch(() => undefined);
    if (!small) {
      // There is no room for both, so the larger one stays, and counts as a whole.
      this.#holding.take(large.size - page.used, 'Weights');
      return;
    }
    const { device } = this.#context;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(large, 0, small, 0, page.used);
    device.queue.submit([encoder.finish()]);
    page.buffer = small;
    this.#holding.drop(large, 0);
  }

  /** A page for at least this many bytes, as large as pages have become where there is room. */
  async #create(bytes: number, what: string): Promise<GPUBuffer> {
    const size = Math.min(this.#limit, Math.max(this.#next, bytes));
    this.#next = Math.min(this.#limit, 2 * size);
    if (size === bytes) return this.#buffer(bytes, what);
    return this.#buffer(size, what).catch(() => this.#buffer(bytes, what));
  }

  /** Weights are counted one by one, as they are placed. */
  #buffer(bytes: number, what: string): Promise<GPUBuffer> {
    const holding = this.#holding;
    return this.#context.createBuffer({ bytes, counted: 0, usage, what, holding });
  }
}
