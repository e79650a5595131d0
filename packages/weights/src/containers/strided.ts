/** Tensors that are a view of a storage with strides, as PyTorch saves transposed and sliced tensors. */

export interface StridedView {
  /** Numbers before the first element. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** In numbers; one per dimension. */
  readonly strides: readonly number[];
}

/** Numbers from the first to behind the last element; 0 when there are none. */
export function extentOf({ shape, strides }: StridedView): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((extent, dimension, i) => extent + (dimension - 1) * strides[i]!, 1);
}

/** Whether the elements lie one after another in row-major order. */
export function isContiguous({ shape, strides }: StridedView): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

interface Axis {
  readonly size: number;
  /** In the storage, in numbers. */
  readonly stride: number;
  /** In the contiguous result, in numbers. */
  readonly step: number;
}

/** The dimensions of more than one element, widest stride first: walking them in this order moves forward in the storage. */
function axesOf({ shape, strides }: StridedView): Axis[] {
  let step = 1;
  const axes: Axis[] = [];
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i]! > 1) axes.push({ size: shape[i]!, stride: strides[i]!, step });
    step *= shape[i]!;
  }
  return axes.sort((a, b) => b.stride - a.stride);
}

/** Whether two elements share a place. Sufficient, not necessary: odd strides that interleave count as overlapping. */
export function mayOverlap(view: StridedView): boolean {
  let inner = 0;
  for (const { size, stride } of axesOf(view).reverse()) {
    if (stride <= inner) return true;
    inner += (size - 1) * stride;
  }
  return false;
}

export interface Gather {
  readonly view: StridedView;
  readonly itemBytes: number;
  /** Of the result. */
  readonly into: Uint8Array;
  /** Reads bytes of the storage, counted from the view's first element. */
  readonly read: (start: number, length: number) => Promise<Uint8Array>;
  /** Bytes held at a time beside the result. */
  readonly windowBytes: number;
}

/**
 * Copies the elements into row-major order, walking forward through the storage in one pass with a window of
 * `windowBytes`. `view` has elements and none share a place.
 */
export async function gather({ view, itemBytes, into, read, windowBytes }: Gather): Promise<void> {
  const axes = axesOf(view);
  const end = extentOf(view) * itemBytes;
  const index = new Array<number>(axes.length).fill(0);
  let window = new Uint8Array(0) as Uint8Array;
  let windowStart = 0;
  let from = 0;
  let to = 0;
  for (;;) {
    if (from + itemBytes > windowStart + window.length) {
      windowStart = from;
      window = await read(from, Math.min(Math.max(windowBytes, itemBytes), end - from));
    }
    for (let byte = 0; byte < itemBytes; byte++)
      into[to + byte] = window[from - windowStart + byte]!;
    let axis = axes.length - 1;
    for (; axis >= 0; axis--) {
      const { size, stride, step } = axes[axis]!;
      index[axis]!++;
      from += stride * itemBytes;
      to += step * itemBytes;
      if (index[axis]! < size) break;
      index[axis] = 0;
      from -= size * stride * itemBytes;
      to -= size * step * itemBytes;
    }
    if (axis < 0) return;
  }
}
