/**
 * Speed of the World tokenizer beside the tokenizers one can install from npm, in MB of UTF-8 a second:
 *
 *   pnpm --filter @rwkv-ts/backend --filter @rwkv-ts/tokenizer build
 *   node tools/bench/src/tokenizer.mjs            (--write also writes bench/results/tokenizer.md)
 *
 * Needs the golden vectors (RWKV_GOLDEN, or ../shared/golden beside the repository) for the vocabulary and the texts.
 * Every contender has its turn in every round, on the same text; the figure is the median of the rounds, in processor
 * time of the whole process (other programs may be running; collecting one's own garbage counts), beside the best by the clock. Contenders
 * under about 10 MB/s get an evenly spread part of the lines. Vocabularies differ, and so do the tasks: BPE splits by
 * a pattern and merges, the World tokenizer takes the longest match. `object trie` is the World tokenizer as the
 * official Python writes it, one object per node, and shows what the layout of the trie is worth.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { TextDecoder, TextEncoder } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Tokenizer as HuggingFace } from '@huggingface/tokenizers';
import {
  bpeTokenizer20b,
  worldTokenizerFromBinary,
  worldTokenizerFromText,
  worldTokenizerToBinary,
} from '@rwkv-ts/tokenizer';
import * as gptO200k from 'gpt-tokenizer/encoding/o200k_base';
import * as gptCl100k from 'gpt-tokenizer/encoding/cl100k_base';
import { get_encoding } from 'tiktoken';

const require = createRequire(import.meta.url);
const native = require('@anush008/tokenizers');
const rwkvTokenizerNode = require('rwkv-tokenizer-node');
const repository = fileURLToPath(new URL('../../../', import.meta.url));
const golden = `${process.env.RWKV_GOLDEN ?? `${repository}../shared/golden`}/tokenizer`;
const rounds = 15;
const decoder = new TextDecoder();

let state = 1;
function below(limit) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}

/** Licences, country names in many languages, 250 strings of every kind, code, and shuffles of their words and lines. */
function buildText() {
  const licences = readFileSync(`${golden}/corpus.licenses-a.txt`, 'utf8');
  const countries = readFileSync(`${golden}/corpus.country-names.txt`, 'utf8');
  const rows = readFileSync(`${golden}/strings.jsonl`, 'utf8').trim().split('\n');
  const strings = rows.map((row) => JSON.parse(row).text).join('\n');
  const code = readFileSync(require.resolve('typescript/lib/_tsc.js'), 'utf8').slice(2e6, 3e6);
  const words = `${licences} ${countries} ${strings}`.split(/(?<=[\s;,])/);
  let shuffled = '';
  while (shuffled.length < 1e6) shuffled += words[below(words.length)];
  const lines = countries.split('\n');
  while (shuffled.length < 1.6e6) shuffled += `${lines[below(lines.length)].slice(0, 400)}\n`;
  return [licences, countries, strings, code, shuffled].join('\n').toWellFormed();
}

/** Every n-th line, so that a part has the mix of the whole. */
function part(text, fraction) {
  const every = Math.round(1 / fraction);
  return text
    .split('\n')
    .filter((_, index) => index % every === 0)
    .join('\n');
}

/** The official trie, one object a node. */
function objectTrie(tokenizer) {
  const root = { next: [], token: 0 };
  for (let token = 1; token < tokenizer.vocabularySize; token++) {
    let node = root;
    for (const byte of tokenizer.tokenBytes(token))
      node = node.next[byte] ??= { next: [], token: 0 };
    node.token = token;
  }
  return (bytes) => {
    const tokens = [];
    for (let at = 0; at < bytes.length;) {
      let token = 0;
      let end = at;
      for (
        let node = root.next[bytes[at]], index = at;
        node !== undefined;
        node = node.next[bytes[index]]
      ) {
        index++;
        if (node.token !== 0) {
          token = node.token;
          end = index;
        }
      }
      tokens.push(token);
      at = end;
    }
    return tokens;
  };
}

const version = (name) => JSON.parse(readFileSync(packageFile(name), 'utf8')).version;
function packageFile(name) {
  for (const folder of require.resolve.paths(name)) {
    try {
      readFileSync(`${folder}/${name}/package.json`);
      return `${folder}/${name}/package.json`;
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`${name} is not installed`);
}

const text = buildText();
const bytes = new TextEncoder().encode(text);
const vocabularyText = readFileSync(`${golden}/rwkv_vocab_v20230424.txt`, 'utf8');
const world = worldTokenizerFromText(vocabularyText);
const binary = worldTokenizerToBinary(world);
const json20b = readFileSync(require.resolve('rwkv-tokenizer-node/20B_tokenizer.json'), 'utf8');
const ours20b = await bpeTokenizer20b(json20b);
const huggingFace = new HuggingFace(JSON.parse(json20b), {});
const rust20b = native.Tokenizer.fromString(json20b);
const tiktokens = {
  o200k_base: get_encoding('o200k_base'),
  cl100k_base: get_encoding('cl100k_base'),
};
const plainTrie = objectTrie(world);

/** Reads one character so that an engine that joins strings lazily has to do its work here. */
const flat = (result) => result.charCodeAt(result.length >> 1);
const tokens = world.encode(text);
const noSpecial = { allowedSpecial: new Set(), disallowedSpecial: new Set() };
const third = part(text, 1 / 3);
const tenth = part(text, 1 / 10);
const fragment = part(text, 1 / 400);

/** [name, package, kind, what, the text it gets, run, tokens to decode] */
const contenders = [
  {
    name: '**@rwkv-ts/tokenizer, World**',
    what: 'encode(string)',
    input: text,
    run: (input) => world.encode(input),
  },
  {
    name: '**@rwkv-ts/tokenizer, World**',
    what: 'encode(bytes)',
    input: text,
    prepared: bytes,
    run: (input) => world.encodeBytes(input),
  },
  {
    name: '**@rwkv-ts/tokenizer, World**',
    what: 'count',
    input: text,
    run: (input) => world.count(input),
  },
  {
    name: 'object trie, World (baseline)',
    what: 'encode(bytes)',
    input: text,
    prepared: bytes,
    run: plainTrie,
  },
  {
    name: `gpt-tokenizer ${version('gpt-tokenizer')}, o200k (pure JS)`,
    what: 'encode(string)',
    input: text,
    run: (input) => gptO200k.encode(input, noSpecial),
  },
  {
    name: `gpt-tokenizer ${version('gpt-tokenizer')}, cl100k (pure JS)`,
    what: 'encode(string)',
    input: text,
    run: (input) => gptCl100k.encode(input, noSpecial),
  },
  {
    name: `tiktoken ${version('tiktoken')}, o200k (WASM)`,
    what: 'encode(string)',
    input: third,
    run: (input) => tiktokens.o200k_base.encode(input, [], []),
  },
  {
    name: `tiktoken ${version('tiktoken')}, cl100k (WASM)`,
    what: 'encode(string)',
    input: third,
    run: (input) => tiktokens.cl100k_base.encode(input, [], []),
  },
  {
    name: `@anush008/tokenizers ${version('@anush008/tokenizers')}, 20B (native Rust)`,
    what: 'encode(string)',
    input: tenth,
    run: (input) => rust20b.encode(input),
  },
  {
    name: `@huggingface/tokenizers ${version('@huggingface/tokenizers')}, 20B (pure JS)`,
    what: 'encode(string)',
    input: tenth,
    run: (input) => huggingFace.encode(input),
  },
  {
    name: '@rwkv-ts/tokenizer, 20B (through the above)',
    what: 'encode(string)',
    input: tenth,
    run: (input) => ours20b.encode(input),
  },
  {
    name: `rwkv-tokenizer-node ${version('rwkv-tokenizer-node')}, 20B (pure JS)`,
    what: 'encode(string)',
    input: fragment,
    run: (input) => rwkvTokenizerNode.encode(input),
  },
  {
    name: '**@rwkv-ts/tokenizer, World**',
    what: 'decode(tokens) to text',
    input: text,
    prepared: tokens,
    run: (input) => flat(world.decode(input)),
  },
  {
    name: '**@rwkv-ts/tokenizer, World**',
    what: 'decode(tokens) to bytes',
    input: text,
    prepared: tokens,
    run: (input) => world.decodeBytes(input),
  },
  {
    name: `gpt-tokenizer ${version('gpt-tokenizer')}, o200k (pure JS)`,
    what: 'decode(tokens) to text',
    input: text,
    prepared: gptO200k.encode(text, noSpecial),
    run: (input) => flat(gptO200k.decode(input)),
  },
  {
    name: `tiktoken ${version('tiktoken')}, o200k (WASM)`,
    what: 'decode(tokens) to text',
    input: third,
    prepared: tiktokens.o200k_base.encode(third, [], []),
    run: (input) => flat(decoder.decode(tiktokens.o200k_base.decode(input))),
  },
  {
    name: `@huggingface/tokenizers ${version('@huggingface/tokenizers')}, 20B (pure JS)`,
    what: 'decode(tokens) to text',
    input: tenth,
    prepared: huggingFace.encode(tenth).ids,
    run: (input) => flat(huggingFace.decode(input)),
  },
];

for (const contender of contenders) {
  contender.size = Buffer.byteLength(contender.input);
  contender.times = [];
  contender.clock = [];
}
if (world.decode(tokens) !== text)
  throw new Error('the World tokenizer does not give the text back');
if (plainTrie(bytes).some((token, index) => token !== tokens[index]))
  throw new Error('the two World tokenizers differ');

const median = (values) => [...values].sort((left, right) => left - right)[values.length >> 1];
const builds = { text: [], binary: [] };
// What others dropped is collected before a turn begins, so that nobody pays for another's garbage; one's own counts.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');
/** Milliseconds of calls in a turn, at least: a single short call is mostly cold caches. */
const turnLength = 100;
for (let round = -2; round < rounds; round++) {
  for (const { run, prepared, input, times, clock } of contenders) {
    collectGarbage();
    let calls = 0;
    const start = performance.now();
    const usage = process.cpuUsage();
    do {
      await run(prepared ?? input);
      calls++;
    } while (performance.now() - start < turnLength);
    const { user, system } = process.cpuUsage(usage);
    if (round < 0) continue;
    clock.push((performance.now() - start) / calls);
    times.push((user + system) / 1000 / calls);
  }
  for (const [kind, build] of [
    ['text', () => worldTokenizerFromText(vocabularyText)],
    ['binary', () => worldTokenizerFromBinary(binary)],
  ]) {
    const usage = process.cpuUsage();
    build();
    builds[kind].push(process.cpuUsage(usage).user / 1000);
  }
}

const digits = (value) => value.toFixed(value < 10 ? 2 : 0);
const rows = contenders.map(({ name, what, size, times, clock }) => {
  const [speed, slowest, fastest] = [median(times), Math.max(...times), Math.min(...times)].map(
    (time) => digits(size / time / 1000),
  );
  const best = digits(size / Math.min(...clock) / 1000);
  return `| ${name} | ${what} | ${(size / 1e6).toFixed(2)} | **${speed}** | ${slowest} to ${fastest} | ${best} |`;
});
const busy =
  loadavg()[0] > cpus().length
    ? ' (other programs were in the way: the rows compare better than the figures)'
    : '';
const report = `# Tokenizer speed

${cpus()[0].model.trim()}, ${cpus().length} cores, load average ${loadavg()[0].toFixed(1)}${busy}; Node ${process.version}; ${new Date().toISOString().slice(0, 10)}; \`node tools/bench/src/tokenizer.mjs --write\`.

One text for all: ${(bytes.length / 1e6).toFixed(2)} MB of UTF-8 (licences, country names in many languages, code, shuffled words; sha256 ${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}), ${tokens.length} World tokens, ${(bytes.length / tokens.length).toFixed(2)} bytes a token. Slow contenders get every n-th line of it. Median of ${rounds} interleaved rounds of at least ${turnLength} ms each, garbage collected before each, after 2 to warm up, in processor time of the whole process, as other programs were running; the last column is the best by the clock.
The vocabularies differ (no other World tokenizer is on npm), and BPE is more work than longest match; caches of the contenders are warm.

| tokenizer | what | MB of text | MB/s, median | slowest to fastest | best by the clock |
| --- | --- | ---: | ---: | ---: | ---: |
${rows.join('\n')}

Building the World tokenizer (warm): ${median(builds.text).toFixed(0)} ms from the text (${(vocabularyText.length / 1e6).toFixed(2)} million characters), ${median(builds.binary).toFixed(0)} ms from the binary (${binary.length} bytes).
`;
console.log(report);
if (process.argv.includes('--write')) {
  mkdirSync(`${repository}bench/results`, { recursive: true });
  writeFileSync(`${repository}bench/results/tokenizer.md`, report);
}
