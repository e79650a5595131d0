import { invalidVocabulary } from './errors.js';

/** How many free slots are tried for a family of children before it is put at the end: bounds the time to build. */
const MAX_TRIES = 48;

/**
 * Places families of child slots in the double array: finds a base nobody else has, with every `base + label` free.
 * Free slots form a linked list. A search starts where the last one of its kind stopped: single children follow slowly
 * and fill the holes that families leave behind.
 */
export class SlotAllocator {
  readonly #limit: number;
  /** List of free slots; slot 0 to 255 belong to the root and are never in it. */
  #nextFree = new Int32Array(0);
  #previousFree = new Int32Array(0);
  #taken = new Uint8Array(0);
  #baseTaken = new Uint8Array(0);
  /** Both -1 when nothing is free. */
  #first = -1;
  #last = -1;
  /** Where the next search starts: for single children, and for families. -1: at the first free slot. */
  readonly #rovers = new Int32Array([-1, -1]);
  #rootPlaced = false;
  /** The slot after the last one in use. */
  end = 256;

  constructor(limit: number) {
    this.#limit = limit;
    this.#grow(4096);
    for (let slot = 0; slot < 256; slot++) this.#take(slot);
    this.#baseTaken[0] = 1;
  }

  /** Takes the slots of `count` children with these ascending labels and gives their base. The first call is the root's. */
  place(labels: Uint8Array, count: number): number {
    if (!this.#rootPlaced) {
      this.#rootPlaced = true;
      return 0;
    }
    const base = this.#findBase(labels, count);
    this.#baseTaken[base] = 1;
    for (let child = 0; child < count; child++) this.#take(base + labels[child]!);
    this.end = Math.max(this.end, base + labels[count - 1]! + 1);
    return base;
  }

  #findBase(labels: Uint8Array, count: number): number {
    const first = labels[0]!;
    const kind = count > 1 ? 1 : 0;
    let slot = this.#rovers[kind]! >= 0 ? this.#rovers[kind]! : this.#first;
    for (let tries = 0; tries < MAX_TRIES && slot >= 0; tries++) {
      const base = slot - first;
      this.#rovers[kind] = slot;
      if (base > 0 && this.#baseTaken[base] === 0 && this.#fits(base, labels, count)) return base;
      slot = this.#nextFree[slot]!;
    }
    // Bases are below the slots they serve, so the end is nobody's base, and everything from there on is free.
    this.#grow(this.end + 256);
    return this.end;
  }

  #fits(base: number, labels: Uint8Array, count: number): boolean {
    this.#grow(base + 256);
    for (let child = 1; child < count; child++)
      if (this.#taken[base + labels[child]!] === 1) return false;
    return true;
  }

  #take(slot: number): void {
    const next = this.#nextFree[slot]!;
    const previous = this.#previousFree[slot]!;
    if (previous < 0) this.#first = next;
    else this.#nextFree[previous] = next;
    if (next < 0) this.#last = previous;
    else this.#previousFree[next] = previous;
    if (this.#rovers[0] === slot) this.#rovers[0] = next;
    if (this.#rovers[1] === slot) this.#rovers[1] = next;
    this.#taken[slot] = 1;
  }

  #grow(needed: number): void {
    const old = this.#taken.length;
    if (needed <= old) return;
    if (needed > this.#limit)
      throw invalidVocabulary('the trie', `at most ${this.#limit} slots`, needed);
    const size = Math.min(this.#limit, Math.max(needed, 2 * old));
    const nextFree = new Int32Array(size);
    const previousFree = new Int32Array(size);
    const taken = new Uint8Array(size);
    const baseTaken = new Uint8Array(size);
    nextFree.set(this.#nextFree);
    previousFree.set(this.#previousFree);
    taken.set(this.#taken);
    baseTaken.set(this.#baseTaken);
    for (let slot = old; slot < size; slot++) {
      nextFree[slot] = slot + 1 < size ? slot + 1 : -1;
      previousFree[slot] = slot > old ? slot - 1 : this.#last;
    }
    if (this.#last >= 0) nextFree[this.#last] = old;
    else this.#first = old;
    this.#last = size - 1;
    this.#nextFree = nextFree;
    this.#previousFree = previousFree;
    this.#taken = taken;
    this.#baseTaken = baseTaken;
  }
}
