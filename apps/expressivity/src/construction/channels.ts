/**
 * What the channels of the residual stream mean. Every channel is +A or -A at every point: a group of channels stands for
 * a choice, whose chosen member has one sign and the others the other, and channels that never change fill up so that all sum to zero. So
 * every LayerNorm has mean 0 and variance A² and only divides by A: what it gives is ±1.
 */

/** `amplitude`² + eps is `amplitude`² in f32 and in f64, so no norm rounds. */
export const amplitude = 2 ** 20;

/** A choice among `channels.length` members. */
export interface ChannelGroup {
  readonly channels: readonly number[];
  /** The member that is chosen until a layer writes another. */
  readonly initial: number;
  /** Of the chosen member's channel; the others have the other sign. */
  readonly sign: 1 | -1;
}

/** True where the channel has this sign. */
export interface Flag {
  readonly channel: number;
  readonly sign: 1 | -1;
}

/** Whether a member is chosen. */
export function flagOf({ channels, sign }: ChannelGroup, member: number): Flag {
  return { channel: channels[member]!, sign };
}

export class ChannelLayout {
  /** Always +A. */
  readonly one = 0;
  #sum = 1;
  /** By channel, before any layer. */
  readonly #signs: number[] = [1];

  group(members: number, initial: number): ChannelGroup {
    // The sign that keeps the sum near 0, which spares fillers.
    const sign = Math.abs(this.#sum + 2 - members) <= Math.abs(this.#sum + members - 2) ? 1 : -1;
    const first = this.#signs.length;
    const channels = Array.from({ length: members }, (_, member) => first + member);
    for (const member of channels.keys()) this.#signs.push(member === initial ? sign : -sign);
    this.#sum += sign * (2 - members);
    return { channels, initial, sign };
  }

  /** Channels that `finish` needs at least. */
  get least(): number {
    return this.#signs.length + Math.abs(this.#sum);
  }

  /** The signs before any layer, [channels], for an even number of channels of at least `least`. */
  finish(channels: number): Float32Array {
    const fillers = channels - this.#signs.length;
    // As many + as - in all. The number of channels and the sum of their signs are both even or both odd.
    const negative = (fillers + this.#sum) / 2;
    const signs = new Float32Array(channels).fill(1);
    signs.set(this.#signs);
    return signs.fill(-1, channels - negative);
  }
}
