/** Charts as SVG text, the same for the same numbers, in colours that read on light and dark pages. */
import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([BarChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

export interface Axis {
  readonly label: string;
  /** Default linear. */
  readonly scale?: 'linear' | 'logarithmic';
}

interface Headed {
  readonly title: string;
  /** What was measured, on what and when. */
  readonly subtitle: string;
}

export interface Line {
  readonly name: string;
  /** In increasing x; both above 0 on logarithmic axes. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Dashed and without points: a line that is not measured but bounds. */
  readonly isLimit?: boolean;
  /** Lines of one number share a colour. Default: each has its own. */
  readonly color?: number;
}

export interface LineChartOptions extends Headed {
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

export interface BarChartOptions extends Headed {
  readonly categories: readonly string[];
  readonly y: Axis;
  /** A value for each category; nothing where none was measured. */
  readonly bars: readonly {
    readonly name: string;
    readonly values: readonly (number | undefined)[];
  }[];
  /** A dashed line over all categories. */
  readonly limit?: { readonly name: string; readonly value: number };
}

/** Okabe and Ito's colours that stand out from white and black alike; people with any colour vision tell them apart. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
/** At least 3.9 to 1 against white and against GitHub's dark page. */
const gray = '#808080';
const size = { width: 760, height: 460 };

const text = { color: gray, fontFamily: 'sans-serif' };
const gridLine = { lineStyle: { color: gray, opacity: 0.25 } };
const colorOf = (index: number): string => colors[index % colors.length]!;

const logarithms = (values: readonly number[]): number[] => values.map(Math.log10);

/** Whole powers of ten around the values. */
function decades(values: readonly number[]): { min: number; max: number } {
  const exponents = logarithms(values);
  const min = Math.floor(Math.min(...exponents));
  return { min: 10 ** min, max: 10 ** Math.max(min + 1, Math.ceil(Math.max(...exponents))) };
}

function axisOf({ label, scale = 'linear' }: Axis, values: readonly number[]): object {
  const kind = scale === 'linear' ? { type: 'value' } : { type: 'log', ...decades(values) };
  return {
    ...kind,
    name: label,
    nameTextStyle: { ...text, fontSize: 13 },
    axisLabel: { ...text, formatter: (value: number) => value.toLocaleString('en') },
    axisLine: { show: true, lineStyle: { color: gray } },
    splitLine: gridLine,
  };
}

const acrossBelow = { nameLocation: 'middle', nameGap: 30 };

function frame(
  { title, subtitle }: Headed,
  entries: readonly { readonly name: string; readonly isLimit?: boolean }[],
): EChartsCoreOption {
  return {
    animation: false,
    textStyle: text,
    title: {
      text: title,
      subtext: subtitle,
      left: 12,
      textStyle: { ...text, fontSize: 16 },
      subtextStyle: { ...text, fontSize: 12 },
    },
    legend: {
      data: entries.map(({ name, isLimit }) => ({
        name,
        ...(isLimit ? { itemStyle: { opacity: 0 } } : {}),
      })),
      top: 60,
      left: 12,
      // Widths of text are estimates here, and pages have other fonts.
      itemGap: 24,
      itemWidth: 32,
      textStyle: text,
    },
    grid: { left: 84, right: 32, top: 148, bottom: 56 },
  };
}

/** @throws RangeError where nothing is to be drawn, or a logarithm has no value */
export function lineChart({ x, y, lines, ...headed }: LineChartOptions): string {
  const points = lines.flatMap((line) => line.points);
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  for (const [axis, values] of [
    [x, xs],
    [y, ys],
  ] as const)
    requireDrawable(axis, values);
  return render({
    ...frame(headed, lines),
    xAxis: { ...axisOf(x, xs), ...acrossBelow },
    yAxis: { ...axisOf(y, ys), nameTextStyle: { ...text, fontSize: 13, align: 'left' } },
    series: lines.map(({ name, points: own, isLimit = false, color }, index) => ({
      type: 'line',
      name,
      data: own.map((point) => [...point]),
      color: colorOf(color ?? index),
      symbol: isLimit ? 'none' : 'circle',
      symbolSize: 7,
      lineStyle: isLimit ? { type: 'dashed', width: 1.5 } : { width: 2 },
    })),
  });
}

/** @throws RangeError where nothing is to be drawn */
export function barChart({ categories, y, bars, limit, ...headed }: BarChartOptions): string {
  const values = bars.flatMap((bar) => bar.values.filter((value) => value !== undefined));
  requireDrawable(y, values);
  const entries = [...bars, ...(limit ? [{ ...limit, isLimit: true }] : [])];
  const category = { type: 'category', data: [...categories], axisLabel: { ...text, interval: 0 } };
  const bound = limit && {
    type: 'line',
    name: limit.name,
    data: categories.map(() => limit.value),
    color: gray,
    symbol: 'none',
    lineStyle: { type: 'dashed', width: 1.5 },
  };
  return render({
    ...frame(headed, entries),
    xAxis: { ...category, axisLine: { lineStyle: { color: gray } } },
    yAxis: {
      ...axisOf(y, limit ? [...values, limit.value] : values),
      nameTextStyle: { ...text, fontSize: 13, align: 'left' },
    },
    series: [
      ...bars.map((bar, index) => ({
        type: 'bar',
        name: bar.name,
        data: bar.values.map((value) => value ?? '-'),
        color: colorOf(index),
        barMaxWidth: 36,
      })),
      ...(bound ? [bound] : []),
    ],
  });
}

function requireDrawable({ label, scale = 'linear' }: Axis, values: readonly number[]): void {
  if (values.length === 0) throw new RangeError('A chart needs at least one point, got none.');
  const isFit = (value: number) => Number.isFinite(value) && (scale === 'linear' || value > 0);
  const bad = values.find((value) => !isFit(value));
  if (bad === undefined) return;
  const wanted = scale === 'linear' ? 'finite numbers' : 'numbers above 0';
  throw new RangeError(`The axis "${label}" takes ${wanted}, got ${bad}.`);
}

function render(option: EChartsCoreOption): string {
  const chart = init(undefined, undefined, { renderer: 'svg', ssr: true, ...size });
  try {
    chart.setOption(option);
    return stable(chart.renderToSVGString({ useViewBox: true }));
  } finally {
    chart.dispose();
  }
}

/**
 * Without what only a page with scripts uses: styles under a pointer, and names of the parts. What the library counts over
 * all charts of the process is numbered anew.
 */
function stable(svg: string): string {
  const still = svg
    .replace(/<style[^]*?<\/style>/g, '')
    .replaceAll(/ (?:class|ecmeta_\w+)="[^"]*"/g, '');
  const names = [...new Set(still.match(/\bzr\d+-[\w-]+/g))];
  const numbers = new Map(names.map((name, index) => [name, `chart-${index}`]));
  return `${still.replaceAll(/\bzr\d+-[\w-]+/g, (name) => numbers.get(name) ?? name).trim()}\n`;
}
