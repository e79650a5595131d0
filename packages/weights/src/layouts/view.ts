/**
 * A tensor seen through strides, as array libraries do it: transposing, picking and cutting copy nothing until the
 * numbers are wanted. Every layout differs from the canonical names by views only, apart from powers of two.
 */
import type { RawTensor } from '../raw-file.js';

export interface TensorView {
  readonly tensor: RawTensor;
  /** Of the first element, in elements. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** In elements; same length as `shape`. */
  readonly strides: readonly number[];
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

export function viewOf(tensor: RawTensor): TensorView {
  const { shape } = tensor;
  return { tensor, offset: 0, shape, strides: rowMajorStrides(shape) };
}

export function isContiguous({ shape, strides }: TensorView): boolean {
  const expected = rowMajorStrides(shape);
  return shape.every((size, axis) => size === 1 || strides[axis] === expected[axis]);
}

/** Swaps the last two dimensions. A view of fewer than two is returned as it is; its shape check fails later, by name. */
export function transpose(view: TensorView): TensorView {
  const rank = view.shape.length;
  if (rank < 2) return view;
  const swap = (values: readonly number[]): number[] => [
    ...values.slice(0, rank - 2),
    values[rank - 1]!,
    values[rank - 2]!,
  ];
  return { ...view, shape: swap(view.shape), strides: swap(view.strides) };
}

/** Entry `index` of the first dimension, which disappears. */
export function pick(view: TensorView, index: number): TensorView {
  return {
    tensor: view.tensor,
    offset: view.offset + index * view.strides[0]!,
    shape: view.shape.slice(1),
    strides: view.strides.slice(1),
  };
}

/** Entries `start` to `start + count` of the first dimension. */
export function cut(view: TensorView, start: number, count: number): TensorView {
  return {
    ...view,
    offset: view.offset + start * view.strides[0]!,
    shape: [count, ...view.shape.slice(1)],
  };
}

/** The same elements in the same order under another shape; undefined where the counts differ or the view has gaps. */
export function reshape(view: TensorView, shape: readonly number[]): TensorView | undefined {
  if (elementCount(shape) !== elementCount(view.shape) || !isContiguous(view)) return undefined;
  return { ...view, shape, strides: rowMajorStrides(shape) };
}

/** Shapes that differ by dimensions of 1 only hold the same elements in the same order. */
export function sameButOnes(left: readonly number[], right: readonly number[]): boolean {
  const dropOnes = (shape: readonly number[]): number[] => shape.filter((size) => size !== 1);
  const [a, b] = [dropOnes(left), dropOnes(right)];
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** Without dimensions of 1 at the end, where something else remains. */
export function dropTrailingOnes(view: TensorView): TensorView {
  let rank = view.shape.length;
  while (rank > 1 && view.shape[rank - 1] === 1) rank--;
  return { ...view, shape: view.shape.slice(0, rank), strides: view.strides.slice(0, rank) };
}

/** Without dimensions of 1 at the start, where something else remains. */
export function dropLeadingOnes(view: TensorView): TensorView {
  let first = 0;
  while (first < view.shape.length - 1 && view.shape[first] === 1) first++;
  return { ...view, shape: view.shape.slice(first), strides: view.strides.slice(first) };
}
