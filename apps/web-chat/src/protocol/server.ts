/** The worker's end: a table of handlers, one per method, and a way to tell. */
import type {
  EventName,
  Events,
  Failure,
  FromWorker,
  Method,
  Requests,
  ToWorker,
} from './messages.js';

export type Handlers = {
  [Name in Method]: (
    params: Requests[Name]['params'],
  ) => Promise<Requests[Name]['result']> | Requests[Name]['result'];
};

export type Tell = <Name extends EventName>(name: Name, value: Events[Name]) => void;

export interface ServerPort {
  postMessage(message: FromWorker): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<unknown>) => void): void;
}

/** What tells of events through this port. */
export function teller(port: ServerPort): Tell {
  return (name, value) => {
    port.postMessage({ type: 'event', name, value } as FromWorker);
  };
}

/** Answers requests until the worker ends; whatever a handler throws becomes a failure that people can read. */
export function serve(
  port: ServerPort,
  { handlers, explain }: { handlers: Handlers; explain: (error: unknown) => Failure },
): void {
  const answer = async ({ call, method, params }: ToWorker): Promise<void> => {
    try {
      const handle = handlers[method] as (given: unknown) => unknown;
      port.postMessage({ type: 'answer', call, result: await handle(params) });
    } catch (error) {
      port.postMessage({ type: 'failure', call, failure: explain(error) });
    }
  };
  port.addEventListener('message', ({ data }) => {
    void answer(data as ToWorker);
  });
}
