import { checkInteger } from './errors.js';
import { hashUniform } from './random.js';
import {
  type ReadTokensOptions,
  type TokenData,
  checkDocumentIndex,
  checkTokenRange,
} from './token-data.js';

/** Most of the data that may be held out. */
export const largestShare = 0.5;

/** @throws TypeError */
export function checkShare(share: number): void {
  if (share > 0 && share <= largestShare) return;
  throw new TypeError(`a held-out share is above 0 and at most ${largestShare}, not ${share}`);
}

/**
 * Whether a document is held out: of every 1 ÷ share documents one, chosen by the seed. So the share is kept to one
 * document, wherever the documents end.
 */
export function isHeldOut(
  document: number,
  { share, seed }: { readonly share: number; readonly seed: number },
): boolean {
  // The document that stratum s chose may be the last one of the stratum before, where 1 ÷ share is no integer.
  const [first, last] = [Math.floor(document * share), Math.floor((document + 1) * share)];
  for (let stratum = first; stratum <= last; stratum++)
    if (Math.floor((stratum + hashUniform(seed, stratum)) / share) === document) return true;
  return false;
}

/**
 * Two views of one row of tokens: all but the end, and the end, at the first document that begins there; inside a
 * document where none does. `data` stays the caller's, and is disposed of after both.
 * @param share of the tokens, above 0 and at most 0.5
 */
export async function splitHeldOut(
  data: TokenData,
  { share }: { readonly share: number },
): Promise<{ readonly training: TokenData; readonly heldOut: TokenData }> {
  checkShare(share);
  const wanted = Math.ceil(data.tokens * (1 - share));
  const document = await firstDocumentFrom(data, wanted);
  const start = document < data.documents ? (await data.document(document)).offset : data.tokens;
  // A last document that is longer than the share would leave nothing.
  const offset = start < data.tokens ? start : wanted;
  const documents = start < data.tokens ? document : data.documents;
  return {
    training: await viewOf(data, { offset: 0, end: offset, from: 0, to: documents }),
    heldOut: await viewOf(data, {
      offset,
      end: data.tokens,
      from: start < data.tokens ? document : Math.max(0, data.documents - 1),
      to: data.documents,
    }),
  };
}

/** The first document that begins at this token or behind it; `documents` where none does. */
async function firstDocumentFrom(data: TokenData, token: number): Promise<number> {
  let [low, high] = [0, data.documents];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await data.document(middle)).offset < token) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Tokens [offset, end) and documents [from, to), whose first and last may reach beyond and are cut. */
async function viewOf(
  data: TokenData,
  { offset, end, from, to }: { offset: number; end: number; from: number; to: number },
): Promise<TokenData> {
  const view = { name: data.name, tokens: end - offset, documents: to - from };
  const readMask = data.readMask?.bind(data);
  return {
    ...view,
    async read(at, length, options) {
      checkTokenRange(view, at, length);
      return data.read(offset + at, length, options);
    },
    ...(readMask === undefined
      ? {}
      : {
          async readMask(at: number, length: number, options?: ReadTokensOptions) {
            checkTokenRange(view, at, length);
            return readMask(offset + at, length, options);
          },
        }),
    async document(index) {
      checkDocumentIndex(view, index);
      const range = await data.document(from + index);
      const begin = Math.max(range.offset, offset);
      const finish = Math.min(range.offset + range.length, end);
      return { offset: begin - offset, length: finish - begin };
    },
    async [Symbol.asyncDispose]() {},
  };
}

export function checkSeed(seed: number): void {
  checkInteger('seed', seed, { maximum: 0xffff_ffff });
}
