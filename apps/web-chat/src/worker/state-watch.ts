/** Pictures of one conversation's state while it writes, as often as the device has time for. */
import type { ReadState } from '@rwkv-ts/generate';
import type { Tell } from '../protocol/server.js';
import { pictureOf } from './state-picture.js';

/** Reading may take this share of the time at most, so that large states slow nothing down noticeably. */
const share = 0.2;
const leastPause = 60;

export class StateWatch {
  /** Heads of the model's state; undefined for v4, which has none. */
  heads: number | undefined;
  readonly #tell: Tell;
  readonly #readers = new Map<string, ReadState>();
  #followed: string | null = null;
  #reading = false;
  #next = 0;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  follow(id: string | null): void {
    this.#followed = id;
    this.#next = 0;
  }

  get followed(): string | null {
    return this.#followed;
  }

  show(id: string, blocks: ReadonlyMap<string, Float32Array>): void {
    const picture = pictureOf(blocks, this.heads);
    if (picture !== undefined) this.#tell('picture', { id, picture });
  }

  begin(id: string, read: ReadState): void {
    this.#readers.set(id, read);
  }

  end(id: string): void {
    this.#readers.delete(id);
  }

  /** After each token. */
  tick(id: string): void {
    const read = this.#readers.get(id);
    if (id !== this.#followed || read === undefined) return;
    if (this.#reading || performance.now() < this.#next) return;
    this.#reading = true;
    void this.#take(id, read);
  }

  async #take(id: string, read: ReadState): Promise<void> {
    const from = performance.now();
    try {
      const blocks = await read();
      if (blocks !== undefined) this.show(id, blocks);
    } catch {
      // A lost device is told by the step that meets it; a picture less is no news.
    } finally {
      const now = performance.now();
      this.#next = now + Math.max(leastPause, (now - from) / share);
      this.#reading = false;
    }
  }
}
