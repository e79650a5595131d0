/** A loss curve as SVG: training losses, a running mean over them, and held-out losses. */

export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
}

export interface LossCurve {
  readonly title: string;
  readonly training: readonly CurvePoint[];
  readonly heldOut: readonly CurvePoint[];
}

const [width, height] = [720, 400];
const frame = { left: 56, right: 16, top: 32, bottom: 40 };
const inner = {
  width: width - frame.left - frame.right,
  height: height - frame.top - frame.bottom,
};
/** Points that a line is drawn through, at most. */
const drawnPoints = 1000;

/** 1, 2 or 5 times a power of ten, so that about `count` steps of it cover the range. */
function niceStep(range: number, count: number): number {
  const raw = range / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5, 10].find((each) => each * power >= raw) ?? 10;
  return factor * power;
}

function ticks(low: number, high: number, count: number): number[] {
  const step = niceStep(high - low, count);
  const first = Math.ceil(low / step);
  const last = Math.floor(high / step + 1e-9);
  return Array.from(
    { length: Math.max(0, last - first + 1) },
    (_, index) => (first + index) * step,
  );
}

const short = (value: number): string => String(Number(value.toPrecision(6)));

/** Means of neighbours, where there are more points than the picture has room for. */
function thinned(points: readonly CurvePoint[]): CurvePoint[] {
  const size = Math.max(1, Math.ceil(points.length / drawnPoints));
  const result: CurvePoint[] = [];
  for (let first = 0; first < points.length; first += size) {
    const group = points.slice(first, first + size);
    const mean = (of: (point: CurvePoint) => number): number =>
      group.reduce((sum, point) => sum + of(point), 0) / group.length;
    result.push({ step: mean(({ step }) => step), loss: mean(({ loss }) => loss) });
  }
  return result;
}

/** Means over a fiftieth of the curve on either side, where there is so much. */
function smoothed(points: readonly CurvePoint[]): CurvePoint[] {
  const reach = Math.round(points.length / 50);
  const sums = [0];
  for (const { loss } of points) sums.push(sums.at(-1)! + loss);
  return points.map(({ step }, index) => {
    const side = Math.min(reach, index, points.length - 1 - index);
    const sum = sums[index + side + 1]! - sums[index - side]!;
    return { step, loss: sum / (2 * side + 1) };
  });
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function bounds(values: readonly number[]): readonly [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return values.length === 0 ? [0, 1] : low === high ? [low - 0.5, high + 0.5] : [low, high];
}

export function lossSvg({ title, training, heldOut }: LossCurve): string {
  const finite = (points: readonly CurvePoint[]) =>
    points.filter(({ loss }) => Number.isFinite(loss));
  const [learned, held] = [thinned(finite(training)), finite(heldOut)];
  const all = [...learned, ...held];
  const [firstStep, lastStep] = bounds(all.map(({ step }) => step));
  // The first hundredth falls so far that the rest would be flat; it is cut off at the top.
  const shown = [...learned.slice(Math.floor(learned.length / 100)), ...held];
  const [low, high] = bounds(shown.map(({ loss }) => loss));
  const x = (step: number): string =>
    (frame.left + ((step - firstStep) / (lastStep - firstStep)) * inner.width).toFixed(1);
  const y = (loss: number): string =>
    (frame.top + Math.max(0, (high - loss) / (high - low)) * inner.height).toFixed(1);
  const line = (points: readonly CurvePoint[], style: string): string =>
    points.length < 2
      ? ''
      : `<polyline fill="none" ${style} points="${points.map(({ step, loss }) => `${x(step)},${y(loss)}`).join(' ')}"/>`;
  const bottom = frame.top + inner.height;
  const parts = [
    ...ticks(low, high, 6).map(
      (loss) =>
        `<path d="M${frame.left} ${y(loss)}h${inner.width}" stroke="#ddd"/><text x="${frame.left - 8}" y="${y(loss)}" dy="4" text-anchor="end">${short(loss)}</text>`,
    ),
    ...ticks(firstStep, lastStep, 8).map(
      (step) =>
        `<path d="M${x(step)} ${bottom}v4" stroke="#888"/><text x="${x(step)}" y="${bottom + 18}" text-anchor="middle">${short(step)}</text>`,
    ),
    line(learned, 'stroke="#9ec5e8"'),
    line(smoothed(learned), 'stroke="#1f6fb2" stroke-width="2"'),
    line(held, 'stroke="#c2501e" stroke-width="2"'),
    ...held.map(
      ({ step, loss }) => `<circle cx="${x(step)}" cy="${y(loss)}" r="3" fill="#c2501e"/>`,
    ),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#333">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${frame.left}" y="20" font-size="14">${escaped(title)}</text>`,
    `<text x="${width - frame.right}" y="20" text-anchor="end"><tspan fill="#1f6fb2">training</tspan> <tspan fill="#c2501e">held out</tspan></text>`,
    ...parts.filter((part) => part !== ''),
    `<text x="${frame.left + inner.width / 2}" y="${height - 6}" text-anchor="middle">updates</text>`,
    `<text x="14" y="${frame.top + inner.height / 2}" text-anchor="middle" transform="rotate(-90 14 ${frame.top + inner.height / 2})">loss per token</text>`,
    '</svg>',
    '',
  ].join('\n');
}
