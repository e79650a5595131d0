/** Numbers as people read them. */
const units = ['B', 'KB', 'MB', 'GB', 'TB'];

/** Bytes in powers of 1024, three digits at most. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]!}`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en');
}

export function formatSpeed(tokensPerSecond: number): string {
  const digits = tokensPerSecond < 10 ? 1 : 0;
  return `${tokensPerSecond.toFixed(digits)} tokens/s`;
}

/** `today`, `yesterday`, or the date. */
export function formatDay(time: number, now: number): string {
  const day = (at: number): number => new Date(at).setHours(0, 0, 0, 0);
  const days = Math.round((day(now) - day(time)) / 86_400_000);
  if (days === 0) return 'today';
  if (days === 1) return 'yesterday';
  return new Date(time).toLocaleDateString('en', { day: 'numeric', month: 'short' });
}
