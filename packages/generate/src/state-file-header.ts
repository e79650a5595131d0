import { GenerateError } from './errors.js';

export interface StateFileHeader {
  readonly fingerprint: string;
  readonly tokenCount: number;
  readonly pending: readonly number[];
  readonly blocks: readonly { readonly name: string; readonly shape: readonly number[] }[];
  readonly attachment?: unknown;
}

/** @throws GenerateError `STATE_FILE_INVALID` */
export function parseHeader(bytes: Uint8Array): StateFileHeader {
  const json = parseJson(bytes);
  if (!isRecord(json)) throw malformed('the header is no object');
  const { fingerprint, tokenCount, pending, blocks, attachment } = json;
  if (typeof fingerprint !== 'string') throw malformed('fingerprint is no string');
  if (!isCount(tokenCount)) throw malformed('tokenCount is no whole number');
  if (!Array.isArray(pending) || !pending.every(isToken)) {
    throw malformed('pending is no list of token ids');
  }
  if (pending.length > tokenCount) throw malformed('pending is longer than tokenCount');
  if (!Array.isArray(blocks)) throw malformed('blocks is no list');
  return {
    fingerprint,
    tokenCount,
    pending: pending as number[],
    blocks: blocks.map(parseBlock),
    attachment,
  };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw malformed('the header is no JSON', cause);
  }
}

function parseBlock(block: unknown): { name: string; shape: number[] } {
  if (!isRecord(block)) throw malformed('a block is no object');
  const { name, shape } = block;
  if (typeof name !== 'string') throw malformed('a block has no name');
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw malformed(`the shape of block ${name} is no list of sizes`);
  }
  return { name, shape: shape };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isToken(value: unknown): boolean {
  return isCount(value) && value < 2 ** 32;
}

function malformed(reason: string, cause?: unknown): GenerateError {
  return new GenerateError({
    code: 'STATE_FILE_INVALID',
    message: `Not a good state file: ${reason}`,
    cause,
  });
}
