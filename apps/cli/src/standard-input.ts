/** Standard input, given up when Ctrl-C comes: a read that waits for a person or a pipe would never see the signal. */

/** @throws the signal's reason once it fires */
export async function* standardInput(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { stdin } = process;
  const giveUp = (): void => {
    stdin.destroy();
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    for await (const chunk of stdin) yield chunk as Uint8Array;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
  signal.throwIfAborted();
}

export async function readStandardInput(signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of standardInput(signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
