/** Another origin that has models, as a URL in the wild does, and that poses as a hub. */
import { type Handler, type TestHub, startTestHub } from '../../../packages/hub/test/test-hub.js';

export interface ModelServer extends AsyncDisposable {
  readonly url: string;
  /** Put files and repositories here; see what was asked for. */
  readonly hub: TestHub;
  /** Instead of what a good server does. */
  answer: Handler | undefined;
  /** The ranges that a file was asked for by, in order; undefined where all of it was. */
  ranges(path: string): readonly (string | undefined)[];
}

/** As the hub sends them: pages of any origin may read, and see what a download needs to know. */
const shared = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': '*',
  'access-control-allow-methods': 'GET, HEAD, POST',
  'access-control-expose-headers': '*',
};

export async function startModelServer(): Promise<ModelServer> {
  const hub = await startTestHub();
  const server: ModelServer = {
    url: hub.url,
    hub,
    answer: undefined,
    ranges: (path) =>
      hub
        .downloads()
        .filter((request) => request.path === path)
        .map(({ range }) => range),
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
  hub.handler = (request, response, behave) => {
    for (const [name, value] of Object.entries(shared)) response.setHeader(name, value);
    if (request.method === 'OPTIONS') response.writeHead(204).end();
    else if (server.answer === undefined) behave();
    else server.answer(request, response, behave);
  };
  return server;
}
