/** The functions of the addon (native/addon). */

/** An engine of the addon: a device and the thread that works on it. */
export type NativeHandle = object & { readonly __native: never };

/** A way from one engine's device to another's (native/engine/crossing.h). */
export type NativeCrossing = object & { readonly __crossing: never };

export interface DeviceFacts {
  readonly name: string;
  /** 13000 for CUDA 13.0. */
  readonly driverVersion: number;
  /** 90 for 9.0. */
  readonly capability: number;
  readonly multiprocessors: number;
  readonly totalBytes: number;
  /** Of shared memory that a block may ask for. */
  readonly sharedBytes: number;
  readonly secondCacheBytes: number;
}

/** Launches in order: eight words each, as `Launch` of native/engine/device.h has them, and the bytes of their arguments. */
export interface EncodedLaunches {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
}

/**
 * Every promise settles in the order of the calls, on one engine; it rejects with an error whose `code` is
 * `OUT_OF_MEMORY`, `DEVICE_UNAVAILABLE`, `DEVICE_LOST`, `DRIVER_FAILED`, `NOT_SENT` (another device failed first),
 * `INTERNAL` or `STOPPED`. Arguments are not checked beyond memory safety; typed arrays that a promise waits for must be
 * neither transferred nor resized meanwhile. Addresses and sizes are whole numbers of bytes.
 */
export interface NativeAddon {
  readonly version: string;
  /** Tells V8 about bytes outside its heap; returns how many it now knows of. */
  adjustMemory(change: number): number;
  createEngine(spinMicroseconds: number): NativeHandle;
  /** `driver`: a library's path; empty is the system's driver. */
  openDevice(engine: NativeHandle, driver: string, ordinal: number): Promise<DeviceFacts>;
  /** A fatbin. */
  loadModule(engine: NativeHandle, image: Uint8Array): Promise<void>;
  /** Finds kernels in the modules; launches name them by their place here. */
  findKernels(engine: NativeHandle, names: readonly string[]): Promise<void>;
  /** Registers, and bytes of local memory, of each kernel. */
  kernelCosts(engine: NativeHandle): Promise<Uint32Array>;
  freeBytes(engine: NativeHandle): Promise<number>;

  allocate(engine: NativeHandle, bytes: number): Promise<number>;
  /** Memory of the host that kernels read over the bus. */
  allocateHost(engine: NativeHandle, bytes: number): Promise<number>;
  release(engine: NativeHandle, address: number): Promise<void>;
  /** `parts`: [to, offset in bytes, length] each. Resolves when `bytes` may change. */
  upload(engine: NativeHandle, bytes: Uint8Array, parts: Float64Array): Promise<void>;
  /** `parts`: [from, offset in bytes, length] each. Fills and resolves to `bytes`. */
  download(engine: NativeHandle, bytes: Uint8Array, parts: Float64Array): Promise<Uint8Array>;
  /** `parts`: [to, from, length] each. */
  copy(engine: NativeHandle, parts: Float64Array): Promise<void>;
  fillZero(engine: NativeHandle, address: number, bytes: number): Promise<void>;

  /**
   * Rounds of a crossing count from 1. The sender's job of a round is queued before the taker's, and all jobs of all engines
   * in the order in which they depend on each other.
   */
  createCrossing(): NativeCrossing;
  /** On the sender's engine, before all else. */
  openSending(sender: NativeHandle, crossing: NativeCrossing): Promise<void>;
  /** On the taker's: whether its device can read the sender's memory, which it may from then on. */
  reachSender(taker: NativeHandle, crossing: NativeCrossing): Promise<boolean>;
  /** `staged`: memory of the host that the taker's engine allocated, to go through; 0 where the sender is reached. */
  openTaking(
    taker: NativeHandle,
    crossing: NativeCrossing,
    staged: number,
    bytes: number,
  ): Promise<void>;
  /** After the last round. */
  closeTaking(taker: NativeHandle, crossing: NativeCrossing): Promise<void>;
  /** `parts`: [from, offset in the crossing's bytes, length] each. */
  send(
    sender: NativeHandle,
    round: number,
    crossing: NativeCrossing,
    parts: Float64Array,
  ): Promise<void>;
  /** `parts`: [to, offset, length] each, of the same offsets and lengths. */
  take(
    taker: NativeHandle,
    round: number,
    crossing: NativeCrossing,
    parts: Float64Array,
  ): Promise<void>;

  /** `step`: what every kernel gets as its first argument. */
  launch(engine: NativeHandle, words: Uint32Array, bytes: Uint8Array, step: number): Promise<void>;
  /** The launches as a graph, which the caller numbers. */
  capture(
    engine: NativeHandle,
    graph: number,
    words: Uint32Array,
    bytes: Uint8Array,
    step: number,
  ): Promise<void>;
  releaseGraph(engine: NativeHandle, graph: number): Promise<void>;
  /**
   * Takes from one crossing, copies the header, runs the graph (0 is none), sends over the other, fills `output` from
   * `rowsAddress` on and resolves to it. The header is copied at once. The graph is done then, also where there is no output.
   */
  run(
    engine: NativeHandle,
    graph: number,
    header: Uint32Array,
    headerAddress: number,
    rowsAddress: number,
    output: Float32Array,
    round: number,
    taken: NativeCrossing | undefined,
    takenParts: Float64Array | undefined,
    sent: NativeCrossing | undefined,
    sentParts: Float64Array | undefined,
  ): Promise<Float32Array>;

  /** Resolves when everything queued before is done. */
  drainEngine(engine: NativeHandle): Promise<void>;
  /** Ends the thread and frees what is left; nothing may be queued any more. */
  stopEngine(engine: NativeHandle): void;
}
