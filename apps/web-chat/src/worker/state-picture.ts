/** A state as a picture: one tile per layer and head. */
import type { StatePicture } from '../protocol/messages.js';

/** Most points of a picture; larger states are shrunk to it. */
const mostPoints = 1 << 18;

interface Tiles {
  readonly numbers: Float32Array;
  readonly heads: number;
  readonly rows: number;
  readonly columns: number;
}

/**
 * The recurrent blocks `blocks.N.att.wkv` of a state. A matrix state [H, N, N] gives H tiles of N × N; v4's [3, C], which
 * has no heads, gives a tile for each of its three vectors, folded into rows.
 */
export function pictureOf(
  blocks: ReadonlyMap<string, Float32Array>,
  heads: number | undefined,
): StatePicture | undefined {
  const layers = [...blocks]
    .filter(([name]) => name.endsWith('.att.wkv'))
    .map(([, numbers]) => tilesOf(numbers, heads));
  const [first] = layers;
  if (first === undefined) return undefined;
  const step = shrinkBy(first, layers.length);
  const width = Math.ceil(first.columns / step);
  const height = Math.ceil(first.rows / step);
  const pixels = new Int8Array(layers.length * first.heads * width * height);
  const strength = new Float32Array(layers.length * first.heads);
  const size = first.heads * width * height;
  for (const [layer, tiles] of layers.entries()) {
    measure(tiles, strength.subarray(layer * first.heads));
    draw(tiles, { step, width, height, pixels: pixels.subarray(layer * size, (layer + 1) * size) });
  }
  const tile = `${first.rows} × ${first.columns}`;
  return { layers: layers.length, heads: first.heads, width, height, pixels, strength, tile };
}

function tilesOf(numbers: Float32Array, heads: number | undefined): Tiles {
  if (heads !== undefined) {
    const side = Math.round(Math.sqrt(numbers.length / heads));
    return { numbers, heads, rows: side, columns: side };
  }
  const channels = numbers.length / 3;
  const columns = divisorNear(channels, Math.sqrt(channels));
  return { numbers, heads: 3, rows: channels / columns, columns };
}

function divisorNear(count: number, wanted: number): number {
  for (let divisor = Math.ceil(wanted); divisor < count; divisor++) {
    if (count % divisor === 0) return divisor;
  }
  return count;
}

function shrinkBy({ heads, rows, columns }: Tiles, layers: number): number {
  let step = 1;
  while (layers * heads * Math.ceil(rows / step) * Math.ceil(columns / step) > mostPoints) step++;
  return step;
}

function measure({ numbers, heads }: Tiles, strength: Float32Array): void {
  const size = numbers.length / heads;
  for (let head = 0; head < heads; head++) {
    let sum = 0;
    for (let i = head * size; i < (head + 1) * size; i++) sum += numbers[i]! ** 2;
    strength[head] = Math.sqrt(sum / size);
  }
}

/** The largest number of each square of `step` points stands for it, so that single strong points stay visible. */
function draw(
  { numbers, heads, rows, columns }: Tiles,
  {
    step,
    width,
    height,
    pixels,
  }: { step: number; width: number; height: number; pixels: Int8Array },
): void {
  let largest = 0;
  const peaks = new Float32Array(heads * width * height);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < rows; row++) {
      const target = (head * height + Math.floor(row / step)) * width;
      const source = (head * rows + row) * columns;
      for (let column = 0; column < columns; column++) {
        const value = numbers[source + column]!;
        const at = target + Math.floor(column / step);
        // v4's exponent starts at -1e30, which stands for nothing seen yet.
        if (value < -1e29 || Math.abs(value) <= Math.abs(peaks[at]!)) continue;
        peaks[at] = value;
        if (Math.abs(value) > largest) largest = Math.abs(value);
      }
    }
  }
  if (largest === 0) return;
  for (const [i, peak] of peaks.entries()) {
    pixels[i] = Math.round(Math.sign(peak) * 127 * Math.sqrt(Math.abs(peak) / largest));
  }
}
