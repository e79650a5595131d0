/**
 * Broken and hostile files, over 20 000 of them: each has to end in an `RwkvError` or in a consistent load, with reads
 * inside the file only, few bytes asked for, and quickly. `checkInput` holds the rules. A failure prints the input.
 */
import { afterAll, describe, expect, it } from 'vitest';
import * as corpus from '../../test/fuzz/corpus.js';
import { Tally } from '../../test/fuzz/check-input.js';
import type { CheckedInput } from '../../test/fuzz/check-input.js';
import { mutate, mutateNumbers } from '../../test/fuzz/mutate.js';
import { Random } from '../../test/fuzz/random.js';
import { ByteWriter } from '../../test/writers/byte-writer.js';
import { pickleOf } from '../../test/writers/write-pth.js';
import { writeZip } from '../../test/writers/zip.js';

const mutationsEach = 1800;
let total = 0;
const tallies = new Map<string, Tally>();

afterAll(() => {
  if (process.env['RWKV_FUZZ_REPORT'] !== undefined) console.log(total, tallies);
  expect(total).toBeGreaterThanOrEqual(20_000);
});

interface Campaign {
  readonly seed: number;
  readonly files: readonly Uint8Array[];
  readonly siblings?: ReadonlyMap<string, Uint8Array>;
  /** How many proper beginnings of each file are whole files themselves. Default 0. */
  readonly wholeCuts?: readonly number[];
}

/** The file as it is, cut at every byte, and `mutationsEach` random changes. */
async function attack(
  tally: Tally,
  { seed, files, siblings, wholeCuts = [] }: Campaign,
): Promise<void> {
  const random = new Random(seed);
  const input = (bytes: Uint8Array): CheckedInput =>
    siblings === undefined ? { bytes } : { bytes, siblings };
  for (const [index, file] of files.entries()) {
    expect(await tally.check(input(file), 'unchanged')).toHaveProperty('loaded');
    const loadsBefore = tally.loads;
    for (let length = 0; length < file.length; length++) {
      await tally.check(input(file.slice(0, length)), `file ${index} cut at ${length}`);
    }
    expect(tally.loads - loadsBefore, `cuts of file ${index} that load`).toBe(
      wholeCuts[index] ?? 0,
    );
    for (let i = 0; i < mutationsEach; i++) {
      await tally.check(input(mutate(file, random)), `file ${index}, mutation ${i}`);
    }
  }
}

function tallyOf(name: string): Tally {
  const tally = tallies.get(name) ?? new Tally();
  tallies.set(name, tally);
  return tally;
}

function finish(tally: Tally): void {
  total += tally.inputs;
  // A campaign in which nothing is refused, or nothing loads, tests nothing.
  expect(tally.loads).toBeGreaterThan(0);
  expect([...tally.codes.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(
    tally.inputs / 4,
  );
}

describe('broken files', () => {
  it('pth', async () => {
    const tally = tallyOf('pth');
    await attack(tally, { seed: 1, files: corpus.pthFiles });
    finish(tally);
  });

  it('pth, deflated', async () => {
    const tally = tallyOf('deflated');
    await attack(tally, { seed: 2, files: [corpus.deflatedPthFile] });
    finish(tally);
  });

  it('pth with a broken pickle in a sound archive', async () => {
    const tally = tallyOf('pickle');
    const random = new Random(3);
    const storages = new Map(corpus.pthContents.tensors.map(({ bytes }, i) => [String(i), bytes]));
    for (const [key, bytes] of corpus.pthContents.storages ?? []) storages.set(key, bytes);
    for (const protocol of [2, 5] as const) {
      const pickle = pickleOf({ ...corpus.pthContents, protocol }, storages);
      for (let i = 0; i < mutationsEach * 2; i++) {
        const bytes = writeZip([
          { name: 'a/data.pkl', bytes: i === 0 ? pickle : mutate(pickle, random) },
          ...[...storages].map(([key, storage]) => ({ name: `a/data/${key}`, bytes: storage })),
        ]);
        await tally.check({ bytes }, `pickle mutation ${i}`);
      }
    }
    finish(tally);
    expect(tally.codes.get('PICKLE_REFUSED')).toBeGreaterThan(0);
  });

  it('safetensors', async () => {
    const tally = tallyOf('safetensors');
    await attack(tally, { seed: 4, files: corpus.safetensorsFiles });
    const random = new Random(5);
    for (let i = 0; i < mutationsEach; i++) {
      const { header, data } = corpus.splitSafetensors(random.pick(corpus.safetensorsFiles));
      const bytes = corpus.safetensorsOf(mutateNumbers(header, random), [data]);
      await tally.check({ bytes }, `header number ${i}`);
    }
    finish(tally);
  });

  it('GGUF', async () => {
    const tally = tallyOf('gguf');
    await attack(tally, { seed: 6, files: corpus.ggufFiles });
    finish(tally);
  });

  // Nothing in this format says how many tensors follow: a cut between two of them cannot be told from the end.
  it('rwkv.cpp', async () => {
    const tally = tallyOf('rwkv.cpp');
    await attack(tally, { seed: 7, files: corpus.rwkvCppFiles, wholeCuts: [4, 1] });
    finish(tally);
  });

  it('an index with its shards', async () => {
    const tally = tallyOf('index');
    const index = new TextEncoder().encode(corpus.indexText);
    await attack(tally, { seed: 8, files: [index], siblings: corpus.shards });
    const random = new Random(9);
    for (let i = 0; i < mutationsEach; i++) {
      const siblings = new Map(corpus.shards);
      const name = random.pick([...siblings.keys()]);
      siblings.set(name, mutate(siblings.get(name)!, random));
      await tally.check({ bytes: index, siblings }, `shard mutation ${i}`);
    }
    finish(tally);
  });

  it('noise behind every magic number', async () => {
    const tally = tallyOf('noise');
    const random = new Random(10);
    const magics = [
      'PK\x03\x04',
      'GGUF\x03\0\0\0',
      'fmgg\x65\0\0\0',
      '\x20\0\0\0\0\0\0\0{',
      '{"weight_map":{',
      '',
    ];
    for (let i = 0; i < mutationsEach; i++) {
      const magic = Uint8Array.from(random.pick(magics), (character) => character.charCodeAt(0));
      const bytes = new ByteWriter()
        .bytes(magic)
        .bytes(random.bytes(random.below(200)))
        .finish();
      await tally.check({ bytes }, `noise ${i}`);
    }
    total += tally.inputs;
  });
});
