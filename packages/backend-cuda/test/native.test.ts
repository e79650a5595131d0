/** The native tests, native/test: every kernel against loops in f64, in all orders of a block's threads. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { emulation } from './emulated.js';

vi.setConfig({ testTimeout: 900_000 });

const script = fileURLToPath(new URL('../scripts/native-tests.mjs', import.meta.url));
const names = readdirSync(fileURLToPath(new URL('../native/test', import.meta.url)))
  .filter((name) => name.endsWith('.test.cc'))
  .map((name) => name.replace('.test.cc', ''));

describe.skipIf(emulation.missing)(`native tests ${emulation.missing ?? ''}`, () => {
  test.each(names)('%s', (name) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, name], {
      encoding: 'utf8',
    });
    expect(`${stdout}${stderr}`).toContain(`${name}: passed`);
    expect(status).toBe(0);
  });
});
