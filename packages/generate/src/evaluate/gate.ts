/**
 * Lets a number of tasks run at the same time; the others wait their turn. Each has a signal of its own, because thousands
 * that listen to a single one look like a leak.
 */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  readonly #running = new Set<AbortController>();
  #stopped: { readonly reason: unknown } | undefined;

  constructor(places: number) {
    this.#free = places;
  }

  async run<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--;
    else
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    const controller = new AbortController();
    this.#running.add(controller);
    if (this.#stopped !== undefined) controller.abort(this.#stopped.reason);
    try {
      return await work(controller.signal);
    } finally {
      this.#running.delete(controller);
      // A place is handed on without becoming free, so that nobody overtakes.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  /** Fires the signals of everything that runs, and of what will. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason };
    for (const controller of this.#running) controller.abort(reason);
  }
}
