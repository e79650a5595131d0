import { describe, expect, it } from 'vitest';
import { HandleKeeper, type KeptHandle } from './handle-keeper.js';

class Handle implements KeptHandle {
  disposed = false;
  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
  }
}
class OtherHandle extends Handle {
  readonly other = true;
}

const disposedCode = expect.objectContaining({ code: 'DISPOSED' }) as unknown;

describe('HandleKeeper', () => {
  it('tells its own handles from others, also of another kind', () => {
    const keeper = new HandleKeeper('mine 1');
    const own = keeper.own(new Handle());
    const rest = { kind: Handle, what: 'weights' };
    expect(keeper.require(own, rest)).toBe(own);
    const foreign = new HandleKeeper('mine 2').own(new Handle());
    expect(() => keeper.require(foreign, rest)).toThrow(/^weights must come from.*mine 1/);
    expect(() => keeper.require(own, { kind: OtherHandle, what: 'states' })).toThrow(TypeError);
    for (const odd of [undefined, null, 3, {}]) {
      expect(() => keeper.require(odd, rest)).toThrow(TypeError);
    }
  });

  it('disposes of all of them when it closes, those on their way included', async () => {
    const keeper = new HandleKeeper('mine');
    const own = keeper.own(new Handle());
    const late = new Handle();
    let ready!: (handle: Handle) => void;
    const kept = keeper.keep(new Promise<Handle>((resolve) => (ready = resolve)));
    const failing = keeper.keep(Promise.reject<Handle>(new Error('its weights went')));
    const outcomes = Promise.allSettled([kept, failing]);
    const closing = keeper.close();
    expect(() => {
      keeper.requireOpen();
    }).toThrow(disposedCode);
    ready(late);
    await closing;
    expect([own.disposed, late.disposed]).toEqual([true, true]);
    for (const outcome of await outcomes) {
      expect(outcome).toEqual({ status: 'rejected', reason: disposedCode });
    }
  });

  it('passes on why a handle could not be made', async () => {
    const keeper = new HandleKeeper('mine');
    await expect(keeper.keep(Promise.reject<Handle>(new Error('full')))).rejects.toThrow('full');
    const handle = new Handle();
    expect(await keeper.keep(Promise.resolve(handle))).toBe(handle);
    expect(keeper.require(handle, { kind: Handle, what: 'it' })).toBe(handle);
  });
});
