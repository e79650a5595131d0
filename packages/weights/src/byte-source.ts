/**
 * Where bytes come from: a file, an HTTP server that answers ranges, a Blob, memory. Readers ask for exact ranges, so a
 * source never holds more than what was asked for.
 */
export interface ByteSource extends AsyncDisposable {
  /** Shown to people in errors: a file name or URL. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`; the array belongs to the caller.
   * @throws WeightsError `READ_OUT_OF_RANGE` before any allocation when the range is not inside the source,
   * `SOURCE_FAILED` when the bytes do not come, `ABORTED`
   */
  read(offset: number, length: number, options?: ReadOptions): Promise<Uint8Array>;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
}

/** Where bytes go, in order. `close` makes them final; disposing without it discards them. */
export interface ByteSink extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
