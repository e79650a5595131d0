/**
 * Lets timers, abort signals and input run between steps. A backend that computes on the calling thread resolves its
 * promises as microtasks, and a loop of microtasks alone would keep everything else out until the text is finished.
 */
export function nextTask(): Promise<void> {
  if (typeof setImmediate === 'function') {
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  // A message arrives at once, where browsers hold nested timers back for 4 ms.
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
