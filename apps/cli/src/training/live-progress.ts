/** What a person sees of a run: a bar on a terminal, a line now and then in a file. */
import type { StepReport } from '@rwkv-ts/train';
import type { Terminal } from '../terminal.js';

/** Between lines where there is no bar. */
const lineInterval = 15_000;
/** Of the newest update in the running means, at least. */
const share = 0.1;

export class LiveProgress implements Disposable {
  readonly #terminal: Terminal;
  #bar: ReturnType<Terminal['progress']>;
  #loss: number | undefined;
  #seconds: number | undefined;
  #updates = 0;
  #lastLine = performance.now();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#bar = terminal.progress('Training');
  }

  show(report: StepReport): void {
    const { step, steps, loss, seconds, tokens } = report;
    this.#updates++;
    if (Number.isFinite(loss)) this.#loss = this.#mean(this.#loss, loss);
    this.#seconds = this.#mean(this.#seconds, seconds);
    const left = clock(this.#seconds * (steps - step));
    const rate = Math.round(tokens / this.#seconds);
    const details = `loss ${(this.#loss ?? loss).toFixed(4)}  ${rate} tokens/s  ETA ${left}`;
    this.#bar.update(step, steps, details);
    if (this.#bar.isShown || performance.now() - this.#lastLine < lineInterval) return;
    this.#lastLine = performance.now();
    this.#terminal.note(`${step}/${steps}  ${details}`);
  }

  /** A line among the others; the bar makes room for it. */
  line(text: string): void {
    this.#bar[Symbol.dispose]();
    this.#terminal.note(text);
    this.#bar = this.#terminal.progress('Training');
  }

  /** The first updates count alike: a mean that began with one of them would keep it for long. */
  #mean(before: number | undefined, now: number): number {
    if (before === undefined) return now;
    return before + Math.max(share, 1 / this.#updates) * (now - before);
  }

  [Symbol.dispose](): void {
    this.#bar[Symbol.dispose]();
  }
}

/** `1:02:03`, or `2:03`. */
export function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value % 60).padStart(2, '0');
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(whole)}`
    : `${minutes}:${String(whole % 60).padStart(2, '0')}`;
}
