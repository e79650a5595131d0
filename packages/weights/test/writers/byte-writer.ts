/** Bytes appended one after another, little-endian: what the test writers of file formats are made of. */
export class ByteWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(...values: readonly number[]): this {
    for (const value of values) this.#view.setUint8(this.#grow(1), value);
    return this;
  }
  u16(...values: readonly number[]): this {
    for (const value of values) this.#view.setUint16(this.#grow(2), value, true);
    return this;
  }
  u32(...values: readonly number[]): this {
    for (const value of values) this.#view.setUint32(this.#grow(4), value, true);
    return this;
  }
  i32(...values: readonly number[]): this {
    for (const value of values) this.#view.setInt32(this.#grow(4), value, true);
    return this;
  }
  u64(...values: readonly (number | bigint)[]): this {
    for (const value of values) this.#view.setBigUint64(this.#grow(8), BigInt(value), true);
    return this;
  }
  f32(value: number): this {
    this.#view.setFloat32(this.#grow(4), value, true);
    return this;
  }
  f64(value: number): this {
    this.#view.setFloat64(this.#grow(8), value, true);
    return this;
  }
  bytes(bytes: Uint8Array): this {
    // Grown first: that may replace the array.
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }
  /** UTF-8, without its length. */
  text(text: string): this {
    return this.bytes(new TextEncoder().encode(text));
  }
  /** Zeros up to a multiple of `alignment`. */
  align(alignment: number): this {
    this.#grow((alignment - (this.#length % alignment)) % alignment);
    return this;
  }
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
