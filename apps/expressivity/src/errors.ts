import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `ALPHABET_INVALID`: an alphabet is empty, too large, or names a letter twice.
 * - `REGEX_INVALID`: a pattern breaks the grammar of `regex.ts`; the message says where.
 * - `STRING_INVALID`: a string holds a letter outside the alphabet.
 * - `AUTOMATON_TOO_LARGE`: an automaton would pass its limit of states; `expected` is the limit.
 * - `CONSTRUCTION_TOO_LARGE`: the weights for an automaton would pass a limit; `expected` is the limit.
 */
export type ExpressivityErrorCode =
  | 'ALPHABET_INVALID'
  | 'REGEX_INVALID'
  | 'STRING_INVALID'
  | 'AUTOMATON_TOO_LARGE'
  | 'CONSTRUCTION_TOO_LARGE';

export class ExpressivityError extends RwkvError<ExpressivityErrorCode> {}
