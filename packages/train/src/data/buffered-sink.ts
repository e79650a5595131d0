import type { ByteSink } from '@rwkv-ts/weights';

const bufferBytes = 1 << 17;

/** Joins small writes before they reach a sink. */
export class BufferedSink {
  readonly #sink: ByteSink;
  readonly #buffer = new Uint8Array(bufferBytes);
  #filled = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#filled + bytes.length > bufferBytes) await this.flush();
    if (bytes.length >= bufferBytes) {
      await this.#sink.write(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  async flush(): Promise<void> {
    if (this.#filled === 0) return;
    await this.#sink.write(this.#buffer.subarray(0, this.#filled));
    this.#filled = 0;
  }
}
