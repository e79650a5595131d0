/** What a saved running text adds to its state file. */
import { GenerateError } from '@rwkv-ts/generate';

export interface TextPiece {
  readonly role: 'user' | 'assistant';
  readonly text: string;
}

export interface SavedText {
  readonly pieces: readonly TextPiece[];
  /** How many pieces the file's state stands for. */
  readonly known: number;
}

const kind = 'running-text';

export function encodeText({ pieces, known }: SavedText): unknown {
  return { kind, known, pieces: pieces.map(({ role, text }) => ({ role, text })) };
}

/** Whether a state file's attachment is such a text. */
export function isText(attachment: unknown): boolean {
  return isRecord(attachment) && attachment['kind'] === kind;
}

/** @throws GenerateError `STATE_FILE_INVALID`: a file can come from anyone */
export function decodeText(attachment: unknown): SavedText {
  if (!isRecord(attachment) || attachment['kind'] !== kind) throw malformed('it holds no text');
  const { pieces, known } = attachment;
  if (!Array.isArray(pieces)) throw malformed('its pieces are no list');
  const isCount = Number.isInteger(known) && Number(known) >= 0 && Number(known) <= pieces.length;
  if (!isCount) throw malformed('it does not say which pieces its state stands for');
  return { pieces: pieces.map(parsePiece), known: Number(known) };
}

function parsePiece(piece: unknown): TextPiece {
  if (!isRecord(piece)) throw malformed('a piece is no object');
  const { role, text } = piece;
  if (role !== 'user' && role !== 'assistant') throw malformed('nobody wrote a piece');
  if (typeof text !== 'string') throw malformed('a piece has no text');
  return { role, text };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function malformed(reason: string): GenerateError {
  return new GenerateError({
    code: 'STATE_FILE_INVALID',
    message: `Not a good conversation file: ${reason}`,
  });
}
