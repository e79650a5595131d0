/**
 * Speed of encoding and decoding weights, in MB of f32 numbers per second, one thread.
 * Needs a build: `pnpm --filter @rwkv-ts/formats build && node tools/bench/src/formats.mjs [format …]`.
 */
import { cpus } from 'node:os';
import { decode, encode, formatInfo, formatNames } from '@rwkv-ts/formats';

const rows = 256;
const columns = 4096;
const count = rows * columns;
const megabytes = (4 * count) / 1e6;

/** Weights as they are: normal, deviation 0.02. */
function weights() {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 4294967297;
  };
  return Float32Array.from(
    { length: count },
    () => 0.02 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** MB of f32 per second: the median of runs that fill at least 0.6 s, after 0.2 s of warming up. */
function speedOf(run) {
  const warmEnd = performance.now() + 200;
  do run();
  while (performance.now() < warmEnd);
  const times = [];
  const end = performance.now() + 600;
  do {
    const start = performance.now();
    run();
    times.push(performance.now() - start);
  } while (performance.now() < end);
  times.sort((a, b) => a - b);
  return megabytes / (times[times.length >> 1] / 1000);
}

const wanted = process.argv.slice(2);
const names = wanted.length > 0 ? wanted : formatNames.filter((name) => !/^i\d+$/.test(name));
const values = weights();
const out = new Float32Array(count);

console.log(
  `${rows} x ${columns} numbers, Node ${process.versions.node}, V8 ${process.versions.v8}, ${cpus()[0]?.model}`,
);
console.log('format    decode MB/s  encode MB/s   (MB of f32)');
for (const name of names) {
  const { blockSize, bytesPerBlock, encodable } = formatInfo(name);
  const bytes = new Uint8Array((count / blockSize) * bytesPerBlock);
  let encoding = '';
  if (encodable) encoding = speedOf(() => encode(name, values, bytes)).toFixed(0);
  else bytes.forEach((_, i) => (bytes[i] = (i * 37) & 0x3b));
  const decoding = speedOf(() => decode(name, bytes, out)).toFixed(0);
  console.log(`${name.padEnd(9)} ${decoding.padStart(11)} ${encoding.padStart(12)}`);
}
