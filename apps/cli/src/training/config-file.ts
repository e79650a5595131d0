/** The configuration file of a training: YAML, of which JSON is a part. */
import { readFile } from 'node:fs/promises';
import { parse, YAMLParseError } from 'yaml';
import { InputError } from '../failure.js';

/** @throws InputError for text that is no YAML */
export async function readConfigFile(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8');
  try {
    // Aliases could make a short file a huge object.
    return parse(text, { maxAliasCount: 0 }) as unknown;
  } catch (error) {
    if (!(error instanceof YAMLParseError) && !(error instanceof ReferenceError)) throw error;
    const [first = ''] = error.message.split('\n');
    throw new InputError(`${file}: ${first.replace(/:$/, '')}`, { cause: error });
  }
}
