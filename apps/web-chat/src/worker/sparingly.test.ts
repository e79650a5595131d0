import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LoadProgress } from '../protocol/messages.js';
import { sparingly } from './sparingly.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('tells the first, the last, and where it stands still, and not every step between', () => {
  const told: string[] = [];
  const report = sparingly(({ phase, done }) => told.push(`${phase} ${done}`));
  const at = (done: number, phase: LoadProgress['phase'] = 'download'): void => {
    report({ phase, done, total: 1000 });
  };
  for (let done = 1; done <= 50; done++) at(done);
  expect(told).toEqual(['download 1']);
  vi.advanceTimersByTime(100);
  expect(told).toEqual(['download 1', 'download 50']);
  at(60);
  at(61);
  at(1000);
  at(0, 'open');
  at(1, 'open');
  expect(told.slice(2)).toEqual(['download 60', 'download 1000', 'open 0']);
  vi.advanceTimersByTime(100);
  expect(told.at(-1)).toBe('open 1');
  vi.advanceTimersByTime(100);
  expect(told).toHaveLength(6);
});
