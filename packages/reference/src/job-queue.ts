const sliceMilliseconds = 20;

/**
 * Runs jobs one after another in call order. When nothing is queued a job starts at once, inside the call.
 */
export class JobQueue {
  #tail: Promise<void> | undefined;
  #sliceStart = 0;

  /** Runs an asynchronous job after all earlier ones. */
  enqueue<Result>(job: () => Promise<Result>): Promise<Result> {
    const result = this.#tail ? this.#tail.then(job) : job();
    const finish = (): void => {
      if (this.#tail === tail) this.#tail = undefined;
    };
    const tail: Promise<void> = result.then(finish, finish);
    this.#tail = tail;
    return result;
  }

  /** Runs a job that cannot fail after all earlier ones; at once where there are none. */
  enqueueSync(job: () => void): void {
    if (this.#tail)
      void this.enqueue(async () => {
        job();
      });
    else job();
  }

  /** True when the event loop has waited long enough for its turn; timers and aborts would starve otherwise. */
  get shouldYield(): boolean {
    return performance.now() - this.#sliceStart > sliceMilliseconds;
  }

  async yield(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#sliceStart = performance.now();
  }
}
