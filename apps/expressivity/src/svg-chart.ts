/** A chart of lines over a logarithmic axis, as SVG that reads on light and dark pages. */

export interface ChartLine {
  readonly name: string;
  /** x above 0, increasing; y at least 0. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface ChartOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
}

const size = { width: 640, height: 300, left: 64, right: 40, top: 56, bottom: 48 };
/** Okabe and Ito's colours, which people with any colour vision tell apart. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7'];

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const rounded = (number: number): string => number.toFixed(1);

/** 1, 2 or 5 times a power of ten, so that about five of them reach `largest`. */
function tickStep(largest: number): number {
  const power = 10 ** Math.floor(Math.log10(largest / 5));
  return power * ([1, 2, 5].find((factor) => (factor * power * 5) / largest >= 0.99) ?? 10);
}

export function svgChart(
  lines: readonly ChartLine[],
  { title, xLabel, yLabel }: ChartOptions,
): string {
  const points = lines.flatMap((line) => line.points);
  const exponents = points.map(([x]) => Math.log10(x));
  const [lowest, highest] = [Math.floor(Math.min(...exponents)), Math.ceil(Math.max(...exponents))];
  const largest = Math.max(...points.map(([, y]) => y)) || 1;
  const step = tickStep(largest);
  const top = Math.ceil(largest / step) * step;
  const { width, height } = size;
  const xOf = (x: number) =>
    size.left +
    ((Math.log10(x) - lowest) / Math.max(1, highest - lowest)) * (width - size.left - size.right);
  const yOf = (y: number) => height - size.bottom - (y / top) * (height - size.top - size.bottom);
  const text = (content: string, x: number, y: number, attributes = '') =>
    `<text x="${rounded(x)}" y="${rounded(y)}"${attributes}>${escape(content)}</text>`;
  const parts = [text(title, size.left, 20, ' font-weight="bold"')];
  for (let tick = 0; tick <= Math.round(top / step); tick++) {
    const y = yOf(tick * step);
    parts.push(
      `<line x1="${size.left}" x2="${width - size.right}" y1="${rounded(y)}" y2="${rounded(y)}" stroke="#888" stroke-opacity="0.3"/>`,
      text(
        String(Number((tick * step).toPrecision(6))),
        size.left - 8,
        y + 4,
        ' text-anchor="end"',
      ),
    );
  }
  for (let exponent = lowest; exponent <= highest; exponent++) {
    const label = (10 ** exponent).toLocaleString('en');
    parts.push(
      text(label, xOf(10 ** exponent), height - size.bottom + 18, ' text-anchor="middle"'),
    );
  }
  parts.push(
    text(xLabel, (size.left + width - size.right) / 2, height - 10, ' text-anchor="middle"'),
    text(yLabel, size.left, size.top - 18),
  );
  for (const [number, { name, points: own }] of lines.entries()) {
    const color = colors[number % colors.length]!;
    const path = own.map(([x, y]) => `${rounded(xOf(x))},${rounded(yOf(y))}`).join(' ');
    const legend = size.left + 160 + number * 160;
    parts.push(
      `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/>`,
      `<rect x="${legend}" y="${size.top - 28}" width="12" height="12" fill="${color}"/>`,
      text(name, legend + 18, size.top - 18),
    );
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#777">
${parts.join('\n')}
</svg>
`;
}
