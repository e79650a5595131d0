/** What a device holds and is asked to do, counted at its own interface, whatever a backend says of itself. */

export interface Calls {
  readonly dispatches: number;
  readonly pipelines: number;
  readonly bindGroups: number;
  readonly passes: number;
  /** Copies between buffers. */
  readonly copies: number;
  readonly submits: number;
  readonly writes: number;
  /** Of `writeBuffer`. */
  readonly uploadedBytes: number;
  /** Of the ranges of mapped buffers that were looked at. */
  readonly readBytes: number;
}

type Counted = { -readonly [Name in keyof Calls]: number };

const none: Calls = {
  dispatches: 0,
  pipelines: 0,
  bindGroups: 0,
  passes: 0,
  copies: 0,
  submits: 0,
  writes: 0,
  uploadedBytes: 0,
  readBytes: 0,
};

const mapRead = 0x1;

export interface DeviceWatch {
  /** Of buffers that were created since and not destroyed. */
  readonly bufferBytes: number;
  readonly buffers: number;
  /** Milliseconds spent in `submit` so far: Dawn's own work and the driver's, which in a browser another process does. */
  readonly submitMilliseconds: number;
  /** When a buffer was last mapped, by `performance.now()`. */
  readonly mappedAt: number;
  /** What is asked of the device until the promise of `work` settles. Counting takes time, so it is on only meanwhile. */
  count(work: () => Promise<unknown>): Promise<Calls>;
}

/** Replaces a method of one object; the result puts it back. */
function replace<Target extends object>(
  target: Target,
  name: keyof Target & string,
  call: (original: (...given: never[]) => unknown, given: never[]) => unknown,
): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  const original = (target[name] as (...given: never[]) => unknown).bind(target);
  const replacement = (...given: never[]) => call(original, given);
  Object.defineProperty(target, name, { value: replacement, configurable: true });
  return () => {
    // Methods stand in the prototype, unless they were replaced before.
    if (before) Object.defineProperty(target, name, before);
    else Reflect.deleteProperty(target, name);
  };
}

export function watchDevice(device: GPUDevice): DeviceWatch {
  const live = new Set<GPUBuffer>();
  let bytes = 0;
  let calls: Counted | undefined;
  let submitMilliseconds = 0;
  let mappedAt = 0;
  replace(device.queue, 'submit', (submit, given) => {
    const began = performance.now();
    submit(...given);
    submitMilliseconds += performance.now() - began;
    if (calls) calls.submits++;
  });
  replace(device, 'createBuffer', (original, given) => {
    const buffer = original(...given) as GPUBuffer;
    live.add(buffer);
    bytes += buffer.size;
    replace(buffer, 'destroy', (destroy) => {
      if (live.delete(buffer)) bytes -= buffer.size;
      destroy();
    });
    if ((buffer.usage & mapRead) === 0) return buffer;
    replace(buffer, 'mapAsync', (map, of) =>
      (map(...of) as Promise<void>).then(() => {
        mappedAt = performance.now();
      }),
    );
    replace(buffer, 'getMappedRange', (range, of) => {
      const mapped = range(...of) as ArrayBuffer;
      if (calls) calls.readBytes += mapped.byteLength;
      return mapped;
    });
    return buffer;
  });
  const tally = (name: keyof Calls, amount = 1): void => {
    if (calls) calls[name] += amount;
  };
  return {
    get bufferBytes() {
      return bytes;
    },
    get buffers() {
      return live.size;
    },
    get submitMilliseconds() {
      return submitMilliseconds;
    },
    get mappedAt() {
      return mappedAt;
    },
    async count(work) {
      const counted: Counted = { ...none };
      const restore = watchCalls(device, tally);
      calls = counted;
      try {
        await work();
      } finally {
        calls = undefined;
        for (const back of restore) back();
      }
      return counted;
    },
  };
}

function watchCalls(
  device: GPUDevice,
  tally: (name: keyof Calls, amount?: number) => void,
): (() => void)[] {
  return [
    replace(device, 'createCommandEncoder', (original, given) => {
      const encoder = original(...given) as GPUCommandEncoder;
      replace(encoder, 'copyBufferToBuffer', (copy, of) => {
        tally('copies');
        copy(...of);
      });
      replace(encoder, 'beginComputePass', (begin, of) => {
        tally('passes');
        const pass = begin(...of) as GPUComputePassEncoder;
        const methods = { dispatches: 'dispatchWorkgroups', pipelines: 'setPipeline' } as const;
        for (const [name, method] of Object.entries({ ...methods, bindGroups: 'setBindGroup' })) {
          replace(pass, method as 'setPipeline', (call, with_) => {
            tally(name as keyof Calls);
            call(...with_);
          });
        }
        return pass;
      });
      return encoder;
    }),
    replace(device.queue, 'writeBuffer', (write, given) => {
      tally('writes');
      tally('uploadedBytes', writtenBytes(given));
      write(...given);
    }),
  ];
}

/** Offsets and sizes of `writeBuffer` are elements of a typed array, bytes of anything else. */
function writtenBytes(given: readonly unknown[]): number {
  const [, , data, offset = 0, size] = given as Parameters<GPUQueue['writeBuffer']>;
  const unit =
    ArrayBuffer.isView(data) && 'BYTES_PER_ELEMENT' in data ? Number(data.BYTES_PER_ELEMENT) : 1;
  return size === undefined ? data.byteLength - offset * unit : size * unit;
}
