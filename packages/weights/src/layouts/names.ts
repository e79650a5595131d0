/** Helpers that all layouts share: finding prefixes, walking a file's tensors through a renaming table. */
import type { RawFile, RawTensor } from '../raw-file.js';
import type { Piece } from './types.js';
import { viewOf } from './view.js';

const wrapper = /^(?:(?:_forward_module|_orig_mod|module|model|state_dict|base_model|rwkv)\.)*$/;

/** What training frameworks put before official names: the prefix of `emb.weight`, if it is one of theirs. */
export function wrapperPrefix(names: Iterable<string>): string {
  for (const name of names) {
    if (name === 'emb.weight') return '';
    if (!name.endsWith('.emb.weight')) continue;
    const prefix = name.slice(0, -'emb.weight'.length);
    if (wrapper.test(prefix)) return prefix;
  }
  return '';
}

/** Of a file without `emb.weight` (states, adapters): the longest wrapper before `blocks.`, `emb.` or `head.`. */
export function stripWrapper(name: string): string {
  const match =
    /^((?:(?:_forward_module|_orig_mod|module|model|state_dict|base_model)\.)+)(?=blocks\.|emb\.|head\.|ln_out\.)/.exec(
      name,
    );
  return match ? name.slice(match[1]!.length) : name;
}

/** An entry of a table by a name out of a file, which may be `constructor` or `__proto__`. */
export function entryOf(table: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** undefined: no rule takes the name. `[]`: known, and not needed. */
export type Rename = (name: string, tensor: RawTensor) => string | readonly Piece[] | undefined;

export interface Renamed {
  readonly entries: Piece[];
  readonly unknown: string[];
}

/** Runs every tensor through `rename`; a string keeps the whole tensor under that official name. */
export function renameAll(file: RawFile, rename: Rename): Renamed {
  const entries: Piece[] = [];
  const unknown: string[] = [];
  for (const [name, tensor] of file.tensors) {
    const renamed = rename(name, tensor);
    if (renamed === undefined) unknown.push(name);
    else if (typeof renamed === 'string') entries.push({ name: renamed, parts: [viewOf(tensor)] });
    else entries.push(...renamed);
  }
  return { entries, unknown };
}

/** Splits `blocks.12.att.key.weight`-like names: a block index and the rest. */
export function splitBlock(
  name: string,
  prefix: string,
): { readonly block: string; readonly rest: string } | undefined {
  if (!name.startsWith(prefix)) return undefined;
  const dot = name.indexOf('.', prefix.length);
  if (dot < 0) return undefined;
  const index = name.slice(prefix.length, dot);
  // At most four digits: layer counts are small, and `0012` must not name layer 12 a second time.
  if (!/^(?:0|[1-9]\d{0,3})$/.test(index)) return undefined;
  return { block: `blocks.${index}`, rest: name.slice(dot + 1) };
}
