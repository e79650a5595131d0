/** Another origin that has a model, as a URL in the wild does. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ModelServer extends AsyncDisposable {
  readonly url: string;
  /** How often the model was asked for. */
  asked: number;
}

export async function startModelServer(bytes: Uint8Array): Promise<ModelServer> {
  const server = createServer((request, response) => {
    // Loaders look for a configuration beside a model; there is none.
    if (request.url !== '/tiny.safetensors') {
      response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
      return;
    }
    started.asked++;
    response.writeHead(200, {
      'access-control-allow-origin': '*',
      'access-control-expose-headers': 'etag',
      'content-length': bytes.length,
      etag: '"1"',
    });
    response.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const started: ModelServer = {
    url: `http://127.0.0.1:${port}/tiny.safetensors`,
    asked: 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return started;
}
