/** What a saved conversation adds to its state file. */
import type { ChatMessage } from './chat-template.js';
import type { Checkpoint } from './checkpoint.js';
import { GenerateError } from './errors.js';
import type { StateFile } from './state-file.js';
import { isRecord } from './state-file-header.js';

/** A message, and its text as it is fed (a user's may carry a remark on how long to think). */
export interface Entry {
  readonly message: ChatMessage;
  readonly fed: string;
}

const kind = 'conversation';

export function encodeAttachment(
  entries: readonly Entry[],
  checkpoint: Checkpoint | undefined,
): unknown {
  return {
    kind,
    entries,
    ...(checkpoint === undefined
      ? {}
      : {
          checkpoint: {
            count: checkpoint.count,
            text: checkpoint.text,
            raw: checkpoint.after?.raw,
          },
        }),
  };
}

/** @throws GenerateError `STATE_FILE_INVALID` for a state file without a conversation, or with a malformed one */
export function decodeConversation({ state, attachment }: StateFile): {
  entries: readonly Entry[];
  checkpoint: Checkpoint | undefined;
} {
  if (!isRecord(attachment) || attachment['kind'] !== kind)
    throw malformed('it holds no conversation');
  const { entries, checkpoint } = attachment;
  if (!Array.isArray(entries)) throw malformed('its messages are no list');
  if (checkpoint === undefined) return { entries: entries.map(parseEntry), checkpoint };
  if (!isRecord(checkpoint)) throw malformed('its checkpoint is no object');
  const { count, text, raw } = checkpoint;
  if (!Number.isSafeInteger(count) || typeof text !== 'string') {
    throw malformed('its checkpoint has no count and text');
  }
  if (raw !== undefined && typeof raw !== 'string') throw malformed('its last answer is no text');
  return {
    entries: entries.map(parseEntry),
    checkpoint: {
      count: count as number,
      text,
      prompted: raw === undefined ? state : undefined,
      after: raw === undefined ? undefined : { state, raw },
    },
  };
}

function parseEntry(entry: unknown): Entry {
  if (!isRecord(entry) || !isRecord(entry['message'])) throw malformed('a message is no object');
  const { role, content, reasoning } = entry['message'];
  if (role !== 'system' && role !== 'user' && role !== 'assistant') {
    throw malformed(`a message has the role ${String(role)}`);
  }
  const { fed } = entry;
  if (typeof content !== 'string' || typeof fed !== 'string')
    throw malformed('a message has no text');
  if (reasoning !== undefined && typeof reasoning !== 'string') {
    throw malformed('the reasoning of a message is no text');
  }
  return { message: { role, content, ...(reasoning === undefined ? {} : { reasoning }) }, fed };
}

function malformed(reason: string): GenerateError {
  return new GenerateError({
    code: 'STATE_FILE_INVALID',
    message: `Not a good state file: ${reason}`,
  });
}
