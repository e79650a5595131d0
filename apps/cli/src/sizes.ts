/** Bytes for people. */
const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function humanBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? String(value) : value.toFixed(value < 10 ? 2 : 1)} ${units[unit] ?? ''}`;
}

const counts = [
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'K'],
] as const;

export function humanCount(count: number): string {
  for (const [size, letter] of counts)
    if (count >= size) return `${(count / size).toFixed(2)} ${letter}`;
  return String(count);
}
