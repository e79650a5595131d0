import type { Shader } from '../kernels/shader.js';
import { runSelfTests, type SelfTestRun, type WrongNumber } from './run-self-tests.js';

type Outcome = WrongNumber | undefined;

/** Each kernel's self-test, once per device, when it is first needed: what waits while others run goes together. */
export class SelfTests {
  readonly #device: GPUDevice;
  readonly #outcomes = new Map<string, Promise<Outcome>>();
  #waiting: SelfTestRun[] = [];
  #next: Promise<Outcome[]> | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** What the kernel gets wrong; a test that could not run is one that nobody has seen. */
  run(shader: Shader, parts: Pick<SelfTestRun, 'pipeline' | 'layout'>): Promise<Outcome> {
    const { code, test } = shader;
    if (!test) return Promise.resolve(undefined);
    const found = this.#outcomes.get(code);
    if (found) return found;
    const outcome = this.#add({ shader, ...parts, test: test() });
    this.#outcomes.set(code, outcome);
    outcome.catch(() => this.#outcomes.delete(code));
    return outcome;
  }

  async #add(run: SelfTestRun): Promise<Outcome> {
    const index = this.#waiting.push(run) - 1;
    if (!this.#next) {
      this.#next = this.#running.then(() => this.#flush());
      this.#running = this.#next.catch(() => undefined);
    }
    return (await this.#next)[index];
  }

  #flush(): Promise<Outcome[]> {
    const runs = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    return runSelfTests(this.#device, runs);
  }
}
