import type { LoadProgress } from '../protocol/messages.js';

/** Milliseconds between two reports of one phase. */
const interval = 33;

/** At most thirty reports a second, and always the first of a phase, its end, and where it stands still. */
export function sparingly(report: (progress: LoadProgress) => void): typeof report {
  let last: LoadProgress | undefined;
  let at = 0;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const tell = (progress: LoadProgress): void => {
    clearTimeout(waiting);
    last = progress;
    at = performance.now();
    report(progress);
  };
  return (progress) => {
    const isEdge = progress.phase !== last?.phase || progress.done === progress.total;
    const left = at + interval - performance.now();
    clearTimeout(waiting);
    if (isEdge || left <= 0) tell(progress);
    else waiting = setTimeout(tell, left, progress);
  };
}
