/** A process of its own that maps a packed file; packed.test.ts starts several and compares them. */
import { readFileSync } from 'node:fs';
import { createCpuBackend } from '../src/index.js';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { openMapped } from './packed-subject.js';
import { heavyConfig, tokensOf } from './subjects.js';

const [, , path = ''] = process.argv;
await using backend = createCpuBackend({ threads: 1 });
await using model = await openMapped(backend, { config: heavyConfig, path });
const tokens = tokensOf(8, { seed: 1, below: heavyConfig.vocabularySize });
const rows = await model.run(batchOf([{ slot: 0, tokens }], 'last'));

/** Of the mapping: kilobytes that are in memory, and of these the share of this process. */
function mappingSizes(): { resident: number; own: number } {
  if (process.platform !== 'linux') return { resident: 0, own: 0 };
  const maps = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const mapping = maps.find((map) => map.split('\n')[0]?.endsWith(path)) ?? '';
  const size = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(mapping)?.[1] ?? 0);
  return { resident: size('Rss'), own: size('Pss') };
}

const end = new Promise<void>((resolve) => {
  process.on('message', (message) => {
    if (message === 'measure') process.send?.({ rows: [...rows], ...mappingSizes() });
    else resolve();
  });
});
process.send?.('ready');
// Until then the file stays mapped.
await end;
process.disconnect();
