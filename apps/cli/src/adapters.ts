/** `--adapter FILE[,alpha=N][,init=FILE]`. */
import type { AdapterSpec } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { UsageError } from './failure.js';

export async function parseAdapter(text: string): Promise<AdapterSpec> {
  const [path = '', ...settings] = text.split(',');
  let alpha: number | undefined;
  let initial: string | undefined;
  for (const setting of settings) {
    const [, key, value] = /^(alpha|init)=(.+)$/.exec(setting) ?? [];
    if (key === 'alpha' && Number.isFinite(Number(value))) alpha = Number(value);
    else if (key === 'init') initial = value;
    else
      throw new UsageError(
        `--adapter ${text}: expected FILE[,alpha=NUMBER][,init=FILE], got '${setting}'.`,
      );
  }
  return {
    source: await fileSource(path),
    ...(alpha === undefined ? {} : { alpha }),
    ...(initial === undefined ? {} : { initSource: await fileSource(initial) }),
  };
}
