/** From a picture of a state to a canvas, in the theme's colours. */
import type { StatePicture } from '../protocol/messages.js';

type Color = readonly [red: number, green: number, blue: number];

/** Points between tiles. */
const gap = 2;

/** Rows are layers, columns heads. */
export function gridOf({ layers, heads }: Pick<StatePicture, 'layers' | 'heads'>): {
  columns: number;
  rows: number;
} {
  return { columns: heads, rows: layers };
}

/** In points. */
export function sizeOf(
  picture: Pick<StatePicture, 'layers' | 'heads' | 'width' | 'height'>,
): Readonly<Record<'width' | 'height', number>> {
  const { columns, rows } = gridOf(picture);
  return {
    width: columns * (picture.width + gap) - gap,
    height: rows * (picture.height + gap) - gap,
  };
}

/** The tile under a place, given as shares of width and height. */
export function tileAt(
  { layers, heads }: Pick<StatePicture, 'layers' | 'heads'>,
  { x, y }: { x: number; y: number },
): { layer: number; head: number } {
  const within = (share: number, count: number): number =>
    Math.min(count - 1, Math.max(0, Math.floor(share * count)));
  return { layer: within(y, layers), head: within(x, heads) };
}

export function paintState(canvas: HTMLCanvasElement, picture: StatePicture): void {
  const { layers, heads, width, height, pixels } = picture;
  const { columns } = gridOf(picture);
  Object.assign(canvas, sizeOf(picture));
  const context = canvas.getContext('2d');
  if (context === null) return;
  const table = colorTable(canvas);
  const image = context.createImageData(canvas.width, canvas.height);
  const data = new Uint32Array(image.data.buffer);
  for (let tile = 0; tile < layers * heads; tile++) {
    const left = (tile % columns) * (width + gap);
    const top = Math.floor(tile / columns) * (height + gap);
    for (let y = 0; y < height; y++) {
      const from = (tile * height + y) * width;
      const to = (top + y) * canvas.width + left;
      for (let x = 0; x < width; x++) data[to + x] = table[pixels[from + x]! + 128]!;
    }
  }
  context.putImageData(image, 0, 0);
}

/** The colour of every signed byte, as the pixel a canvas holds. The canvas' own style names the three colours. */
function colorTable(canvas: HTMLCanvasElement): Uint32Array {
  const style = getComputedStyle(canvas);
  const negative = parseColor(style.outlineColor);
  const neutral = parseColor(style.backgroundColor);
  const positive = parseColor(style.color);
  const table = new Uint32Array(256);
  const bytes = new Uint8Array(table.buffer);
  for (let i = 0; i < 256; i++) {
    const share = Math.min(1, Math.abs(i - 128) / 127);
    const end = i < 128 ? negative : positive;
    for (let channel = 0; channel < 3; channel++) {
      bytes[4 * i + channel] = neutral[channel]! + (end[channel]! - neutral[channel]!) * share;
    }
    bytes[4 * i + 3] = 255;
  }
  return table;
}

function parseColor(text: string): Color {
  const [red = 0, green = 0, blue = 0] = (text.match(/[\d.]+/g) ?? []).map(Number);
  return [red, green, blue];
}
