import { ByteWriter } from '../writers/byte-writer.js';
import type { Random } from './random.js';

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array<ArrayBuffer>;

const extremes = [
  0n,
  1n,
  2n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xfffffffen,
  0xffffffffn,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** Replaces one to four bytes, each by a bit flip or by anything. */
const flip: Mutation = (bytes, random) => {
  const copy = bytes.slice();
  for (let i = random.below(4); i >= 0; i--) {
    const at = random.below(copy.length);
    copy[at] = random.below(2) === 0 ? copy[at]! ^ (1 << random.below(8)) : random.below(256);
  }
  return copy;
};

/** Writes an extreme number, or one close to the size of the file, over 1, 2, 4 or 8 bytes. */
const overwrite: Mutation = (bytes, random) => {
  const copy = bytes.slice();
  const width = random.pick([1, 2, 4, 8]);
  if (copy.length < width) return copy;
  const near = BigInt(bytes.length + random.below(5) - 2);
  const value = random.below(3) === 0 ? near : random.pick(extremes);
  const number = new ByteWriter().u64(BigInt.asUintN(64, value)).finish().subarray(0, width);
  copy.set(number, random.below(copy.length - width + 1));
  return copy;
};

const remove: Mutation = (bytes, random) => {
  const from = random.below(bytes.length);
  const count = 1 + random.below(random.pick([1, 8, 64]));
  return join(bytes.subarray(0, from), bytes.subarray(from + count));
};

const insert: Mutation = (bytes, random) => {
  const at = random.below(bytes.length + 1);
  const added = random.bytes(1 + random.below(random.pick([1, 8, 64])));
  return join(bytes.subarray(0, at), added, bytes.subarray(at));
};

/** Copies one stretch over, or in front of, another. */
const repeat: Mutation = (bytes, random) => {
  const from = random.below(bytes.length);
  const part = bytes.subarray(from, from + 1 + random.below(random.pick([8, 64, 512])));
  const at = random.below(bytes.length);
  const skipped = random.below(2) === 0 ? 0 : part.length;
  return join(bytes.subarray(0, at), part, bytes.subarray(at + skipped));
};

const cut: Mutation = (bytes, random) => bytes.slice(0, random.below(bytes.length));

const mutations = [flip, flip, flip, overwrite, overwrite, overwrite, remove, insert, repeat, cut];

/** One or two random changes. */
export function mutate(bytes: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  const once = random.pick(mutations)(bytes, random);
  return random.below(3) === 0 && once.length > 0 ? random.pick(mutations)(once, random) : once;
}

/** Puts a tricky number in place of one of the decimal numbers in a text. */
export function mutateNumbers(text: string, random: Random): string {
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length === 0) return text;
  const { index, 0: digits } = random.pick(numbers);
  const tricky = random.pick([
    '-1',
    '0',
    '1e400',
    '1.5',
    '4294967296',
    '9007199254740992',
    '18446744073709551616',
    'null',
    '"8"',
    String(Number(digits) + 1),
    String(Number(digits) - 1),
    '[]',
  ]);
  return text.slice(0, index) + tricky + text.slice(index + digits.length);
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  for (const part of parts) writer.bytes(part);
  return writer.finish();
}
