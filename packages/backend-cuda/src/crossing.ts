/**
 * The way of numbers from one device of a backend to another: straight where the driver says that the taker reaches the
 * sender's memory and a trial arrives, else through pinned memory of the host.
 */
import { DeviceHolding } from './device-holding.js';
import type { Engine } from './engine.js';
import type { NativeCrossing } from './native.js';

/** Memory of the sender, and of the taker, that a round copies between. */
export interface Passage {
  readonly source: number;
  readonly target: number;
  readonly bytes: number;
}

/** For messages. */
const noun = 'A way between devices';
/** Of a trial; enough that both ends of each page are seen. */
const trialBytes = 1 << 16;
/** What goes at a time where memory is moved. */
const pieceBytes = 4 << 20;
/** In the memory of the host that the way leads through. */
export const passageAlignment = 256;

export class Crossing {
  readonly native: NativeCrossing;
  readonly from: Engine;
  readonly to: Engine;
  readonly #staging: DeviceHolding;
  #rounds = 0;

  /** For `bytes` a round. @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST` */
  static async open(from: Engine, to: Engine, bytes: number): Promise<Crossing> {
    const crossing = new Crossing(from, to);
    try {
      await crossing.#openSending();
      const isStraight = (await crossing.#reaches()) && (await arrives(from, to));
      await crossing.#openTaking(bytes, isStraight ? 'straight' : 'staged');
      return crossing;
    } catch (error) {
      await crossing.close();
      throw error;
    }
  }

  private constructor(from: Engine, to: Engine) {
    this.from = from;
    this.to = to;
    this.native = from.addon.createCrossing();
    this.#staging = new DeviceHolding(to);
  }

  /** Of the host's memory. */
  get bytes(): number {
    return this.#staging.bytes;
  }

  /** For the two jobs that make it, which are queued at once, the sender's first. */
  nextRound(): number {
    return ++this.#rounds;
  }

  /** Queues a round of its own. */
  async copy(passages: readonly Passage[]): Promise<void> {
    const { from, to, native } = this;
    const round = this.nextRound();
    const sources = partsOf(passages.map(({ source, bytes }) => ({ at: source, bytes })));
    const targets = partsOf(passages.map(({ target, bytes }) => ({ at: target, bytes })));
    const sent = from.addon.send(from.handle, round, native, sources);
    const taken = to.addon.take(to.handle, round, native, targets);
    const [sending, taking] = await Promise.allSettled([sent, taken]);
    // The taker may only say that nothing came.
    if (sending.status === 'rejected') throw from.errorOf(sending.reason, 'A copy');
    if (taking.status === 'rejected') throw to.errorOf(taking.reason, 'A copy');
    from.group.requireUsable();
  }

  /** After what is queued. */
  async close(): Promise<void> {
    await this.to.addon.closeTaking(this.to.handle, this.native).catch(() => undefined);
    await this.#staging.release();
  }

  async #openSending(): Promise<void> {
    const { from, native } = this;
    await from.guard(from.addon.openSending(from.handle, native), noun);
  }

  async #reaches(): Promise<boolean> {
    const { to, native } = this;
    if (!to.group.peerCopies) return false;
    return to.guard(to.addon.reachSender(to.handle, native), noun);
  }

  async #openTaking(bytes: number, way: 'straight' | 'staged'): Promise<void> {
    const { to, native } = this;
    const request = { bytes, what: noun, where: 'host' } as const;
    const staged = way === 'straight' ? 0 : await this.#staging.allocate(request);
    await to.guard(to.addon.openTaking(to.handle, native, staged, bytes), noun);
  }

  /** Whether what goes straight arrives. */
  static async try(from: Engine, to: Engine): Promise<boolean> {
    const crossing = new Crossing(from, to);
    const holdings = [from, to].map((engine) => new DeviceHolding(engine));
    try {
      await crossing.#openSending();
      await crossing.#openTaking(trialBytes, 'straight');
      const request = { bytes: trialBytes, what: 'A trial copy' };
      const [source, target] = await Promise.all(holdings.map((each) => each.allocate(request)));
      const pattern = Uint8Array.from(
        { length: trialBytes },
        (_, at) => (at * 7 + (at >> 8)) & 255,
      );
      const whole = (address: number) => Float64Array.of(address, 0, trialBytes);
      await from.guard(from.addon.upload(from.handle, pattern, whole(source!)), request.what);
      await to.guard(to.addon.fillZero(to.handle, target!, trialBytes), request.what);
      await crossing.copy([{ source: source!, target: target!, bytes: trialBytes }]);
      const arrived = new Uint8Array(trialBytes);
      await to.guard(to.addon.download(to.handle, arrived, whole(target!)), request.what);
      return arrived.every((byte, at) => byte === pattern[at]);
    } catch {
      // A way that fails is not taken; a device that is lost is another matter.
      from.group.requireUsable();
      return false;
    } finally {
      await crossing.close();
      await Promise.all(holdings.map((each) => each.release()));
    }
  }
}

/** Once for each pair of a backend's devices. */
function arrives(from: Engine, to: Engine): Promise<boolean> {
  const { peers } = from.group;
  const key = `${from.ordinal} ${to.ordinal}`;
  const known = peers.get(key) ?? Crossing.try(from, to);
  peers.set(key, known);
  return known;
}

/** One after the other in the memory between, as the addon wants them. */
export function partsOf(stretches: readonly { readonly at: number; readonly bytes: number }[]) {
  let offset = 0;
  return Float64Array.from(
    stretches.flatMap(({ at, bytes }) => {
      const begin = offset;
      offset += alignedPassage(bytes);
      return [at, begin, bytes];
    }),
  );
}

export const alignedPassage = (bytes: number): number =>
  Math.ceil(bytes / passageAlignment) * passageAlignment;

/**
 * Moves memory in pieces. `queued` is called at once when all rounds are queued, and what is queued later on either device
 * comes after them.
 */
export async function moveMemory(
  { from, to, passages }: { from: Engine; to: Engine; passages: readonly Passage[] },
  queued: () => void,
): Promise<void> {
  const largest = Math.max(...passages.map(({ bytes }) => bytes));
  const crossing = await Crossing.open(from, to, Math.min(pieceBytes, largest));
  try {
    const rounds: Promise<void>[] = [];
    for (const { source, target, bytes } of passages) {
      for (let done = 0; done < bytes; done += pieceBytes) {
        const length = Math.min(pieceBytes, bytes - done);
        rounds.push(
          crossing.copy([{ source: source + done, target: target + done, bytes: length }]),
        );
      }
    }
    queued();
    const outcomes = await Promise.allSettled(rounds);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  } finally {
    await crossing.close();
  }
}
