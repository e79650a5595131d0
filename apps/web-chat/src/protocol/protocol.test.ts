import { BackendError } from '@rwkv-ts/backend';
import { GenerateError } from '@rwkv-ts/generate';
import { HubError } from '@rwkv-ts/hub';
import { afterEach, describe, expect, it } from 'vitest';
import { ChatFailure, WorkerClient } from './client.js';
import { explain } from './explain.js';
import { type Handlers, type ServerPort, serve, teller } from './server.js';

const opened: MessagePort[] = [];

afterEach(() => {
  for (const port of opened.splice(0)) port.close();
});

/** A page and a worker that are connected as real ones are: every message is cloned. */
function connect(handlers: Partial<Handlers>): { client: WorkerClient; server: ServerPort } {
  const { port1, port2 } = new MessageChannel();
  opened.push(port1, port2);
  port1.start();
  port2.start();
  const server = port2 as unknown as ServerPort;
  serve(server, { handlers: handlers as Handlers, explain });
  return { client: new WorkerClient(port1), server };
}

describe('requests', () => {
  it('get their own answers, in whatever order these come', async () => {
    const { client } = connect({
      removeStored: async ({ id }) => {
        await new Promise((resolve) => setTimeout(resolve, id === 'slow' ? 30 : 1));
        return id.length;
      },
    });
    const order: string[] = [];
    const ask = async (id: string): Promise<number> => {
      const freed = await client.ask('removeStored', { id });
      order.push(id);
      return freed;
    };
    expect(await Promise.all([ask('slow'), ask('quick')])).toEqual([4, 5]);
    expect(order).toEqual(['quick', 'slow']);
  });

  it('fail with words for people, also when the handler throws at once', async () => {
    const { client } = connect({
      load: () => {
        throw new HubError({
          code: 'STORAGE_FULL',
          message: 'm.pth: 5 needed',
          expected: 1,
          got: 5,
        });
      },
    });
    const failure = await client.ask('load', { source: { kind: 'bundled' } }).then(
      () => undefined,
      (error: unknown) => (error instanceof ChatFailure ? error.failure : undefined),
    );
    expect(failure?.code).toBe('STORAGE_FULL');
    expect(failure?.title).toContain('not enough room');
    expect(failure?.advice).toContain('5 B are needed, 1 B are free.');
    expect(failure?.advice).toContain('Storage');
    expect(failure?.detail).toBe('m.pth: 5 needed');
  });

  it('fail when the worker has died, those that wait and those that come', async () => {
    const { client } = connect({ storage: () => new Promise(() => undefined) });
    const waiting = client.ask('storage', null);
    client.fail({ code: 'WORKER_FAILED', title: 'gone', advice: 'reload', detail: '' });
    await expect(waiting).rejects.toThrow('gone');
    await expect(client.ask('storage', null)).rejects.toThrow('gone');
  });

  it('of methods that nobody handles fail instead of hanging', async () => {
    const { client } = connect({});
    await expect(client.ask('storage', null)).rejects.toThrow(ChatFailure);
  });
});

it('events reach their listener', async () => {
  const { client, server } = connect({});
  const heard = new Promise((resolve) => {
    client.on('notice', resolve);
  });
  const tell = teller(server);
  tell('progress', { phase: 'open', done: 0, total: 0 });
  tell('notice', { message: 'hello' });
  expect(await heard).toEqual({ message: 'hello' });
});

describe('explain', () => {
  it('tells a failed step as the lost device it comes from', () => {
    const cause = new BackendError({ code: 'DEVICE_LOST', message: 'the device went away' });
    const error = new GenerateError({ code: 'FORWARD_FAILED', message: 'a step failed', cause });
    expect(explain(error)).toMatchObject({ code: 'DEVICE_LOST', detail: 'the device went away' });
  });

  it('says of anything else that it should not have happened', () => {
    expect(explain(new TypeError('x is undefined')).code).toBe('UNKNOWN');
    expect(explain('text').detail).toBe('text');
  });
});
