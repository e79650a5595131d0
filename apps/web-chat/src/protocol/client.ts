/** The page's end: requests as promises, events as calls. */
import type {
  EventName,
  Events,
  Failure,
  FromWorker,
  Method,
  Requests,
  ToWorker,
} from './messages.js';

/** What of a `Worker` or `MessagePort` is needed here. */
export interface Port {
  postMessage(message: unknown): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<unknown>) => void): void;
}

/** What the worker could not do, told to people. */
export class ChatFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.title);
    this.name = 'ChatFailure';
    this.failure = failure;
  }
}

export class WorkerClient {
  readonly #port: Port;
  readonly #waiting = new Map<
    number,
    { resolve: (result: unknown) => void; reject: (error: Error) => void }
  >();
  readonly #listeners = new Map<EventName, (value: never) => void>();
  #calls = 0;
  #dead: Failure | undefined;

  constructor(port: Port) {
    this.#port = port;
    port.addEventListener('message', ({ data }) => {
      this.#receive(data as FromWorker);
    });
  }

  ask<Name extends Method>(
    method: Name,
    params: Requests[Name]['params'],
  ): Promise<Requests[Name]['result']> {
    if (this.#dead !== undefined) return Promise.reject(new ChatFailure(this.#dead));
    const call = ++this.#calls;
    const request = { type: 'request', call, method, params } as ToWorker;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, {
        resolve: resolve as (result: unknown) => void,
        reject,
      });
      this.#port.postMessage(request);
    });
  }

  /** One listener per event. */
  on<Name extends EventName>(name: Name, listener: (value: Events[Name]) => void): void {
    this.#listeners.set(name, listener);
  }

  /** The worker is gone: everything that waits for it fails, and so does what is asked later. */
  fail(failure: Failure): void {
    this.#dead = failure;
    for (const { reject } of this.#waiting.values()) reject(new ChatFailure(failure));
    this.#waiting.clear();
  }

  #receive(message: FromWorker): void {
    if (message.type === 'event') {
      this.#listeners.get(message.name)?.(message.value as never);
      return;
    }
    const waiting = this.#waiting.get(message.call);
    this.#waiting.delete(message.call);
    if (message.type === 'answer') waiting?.resolve(message.result);
    else waiting?.reject(new ChatFailure(message.failure));
  }
}
