/** Launches as native/engine/device.h has them: words for each, and the bytes of their arguments as kernels read them. */
import { argumentsLayout, type FieldKind, type Fields, type Kernel } from '../kernels/kernel.js';
import type { EncodedLaunches } from '../native.js';
import { formatLayouts, type MatrixPlace, type StoredMatrix } from '../weights/layout.js';

/** Addresses are bytes, and below 2^53. */
export interface RowsValue {
  readonly address: number;
  /** Numbers from one row to the next. */
  readonly stride: number;
}

export interface MatrixValue extends StoredMatrix {
  readonly address: number;
  readonly place: MatrixPlace;
}

export interface PreparedValue {
  readonly values: number;
  readonly scales: number;
  readonly stride: number;
  readonly scaleStride: number;
}

/** A number is a count, a number or a pointer, as the field is; undefined is nothing. */
export type FieldValue = number | RowsValue | MatrixValue | PreparedValue | undefined;
export type FieldValues = Readonly<Record<string, FieldValue>>;

export interface KernelLaunch {
  readonly kernel: Kernel;
  /** Of the kernel among those that the device was asked for. */
  readonly index: number;
  /** Blocks along x and y. */
  readonly grid: readonly [number, number];
  readonly values: FieldValues;
  readonly jobs?: readonly FieldValues[];
}

const launchWords = 8;

/** Room for jobs that are not given is left empty. */
export function encodeLaunches(launches: readonly KernelLaunch[]): EncodedLaunches {
  const layouts = launches.map(({ kernel }) => argumentsLayout(kernel));
  const words = new Uint32Array(launchWords * launches.length);
  const bytes = new Uint8Array(layouts.reduce((total, layout) => total + layout.bytes, 0));
  const view = new DataView(bytes.buffer);
  let start = 0;
  for (const [at, { kernel, index, grid, values, jobs = [] }] of launches.entries()) {
    const { offsets, job, jobsAt, bytes: size } = layouts[at]!;
    const { threads, sharedBytes } = kernel;
    words.set([index, ...grid, 1, threads, sharedBytes, start, size], launchWords * at);
    writeStruct(view, { start, offsets, fields: kernel.fields, values });
    for (const [which, own] of jobs.entries()) {
      const jobStart = start + jobsAt + which * job!.bytes;
      const { fields } = kernel.jobs!;
      writeStruct(view, { start: jobStart, offsets: job!.offsets, fields, values: own });
    }
    start += size;
  }
  return { words, bytes };
}

function writeStruct(
  view: DataView,
  struct: {
    readonly start: number;
    readonly offsets: ReadonlyMap<string, number>;
    readonly fields: Fields;
    readonly values: FieldValues;
  },
): void {
  const { start, offsets, fields, values } = struct;
  for (const [name, value] of Object.entries(values)) {
    const [kind, offset] = [fields[name], offsets.get(name)];
    if (!kind || offset === undefined) throw new Error(`The kernel has no field ${name}.`);
    if (value !== undefined) writeField(view, start + offset, { kind, value });
  }
}

function writeField(
  view: DataView,
  at: number,
  { kind, value }: { readonly kind: FieldKind; readonly value: NonNullable<FieldValue> },
): void {
  if (typeof value === 'number') {
    if (kind === 'count') view.setUint32(at, value, true);
    else if (kind === 'number') view.setFloat32(at, value, true);
    else if (kind === 'pointer') writeAddress(view, at, value);
    else throw new Error(`A field of kind ${kind} does not hold a number.`);
  } else if (kind === 'rows' && 'stride' in value && 'address' in value) {
    writeAddress(view, at, value.address);
    view.setUint32(at + 8, value.stride, true);
  } else if (kind === 'matrix' && 'place' in value) {
    writeMatrix(view, at, value);
  } else if (kind === 'prepared' && 'values' in value) {
    writeAddress(view, at, value.values);
    writeAddress(view, at + 8, value.scales);
    view.setUint32(at + 16, value.stride, true);
    view.setUint32(at + 20, value.scaleStride, true);
  } else throw new Error(`A field of kind ${kind} does not hold what it was given.`);
}

function writeMatrix(view: DataView, at: number, value: MatrixValue): void {
  const { format, rows, columns, address, place } = value;
  const { highBits, scaleBytes } = formatLayouts[format];
  const { highsAt, scalesAt, stride } = place;
  writeAddress(view, at, address);
  if (highBits > 0) writeAddress(view, at + 8, address + highsAt);
  if (scaleBytes > 0) writeAddress(view, at + 16, address + scalesAt);
  view.setUint32(at + 24, rows, true);
  view.setUint32(at + 28, columns, true);
  view.setUint32(at + 32, stride, true);
}

function writeAddress(view: DataView, at: number, address: number): void {
  view.setBigUint64(at, BigInt(address), true);
}
