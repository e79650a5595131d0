/** Errors in plain words: what happened, and what to do about it. */
import { RwkvError } from '@rwkv-ts/backend';
import { formatBytes } from '../format.js';
import type { Failure } from './messages.js';

type Words = readonly [title: string, advice: string];

const pickAnother =
  'Check that it is an RWKV model file (.pth, .safetensors, .gguf, .bin or .st) and whole.';
const askAgain = 'Check the connection and try again; a download goes on where it stopped.';
const freeSpace =
  'Remove models you no longer need under “Storage”, or free space on the disk, and try again.';
const smaller =
  'Close other tabs that use the GPU, or take a smaller or more strongly quantised model.';
const reload = 'Load the model again; your conversations are kept.';

const words: Readonly<Record<string, Words>> = {
  // The GPU
  OUT_OF_MEMORY: ['The model does not fit into memory', smaller],
  DEVICE_LOST: ['The connection to the GPU was lost', reload],
  DEVICE_UNAVAILABLE: ['No GPU can be used here', 'Use a current Chrome, Edge, Firefox or Safari.'],
  UNSUPPORTED_OP: ['This model has parts that cannot be computed here', 'Take another model.'],
  UNSUPPORTED_WEIGHT_FORMAT: [
    'This model stores numbers in a way unknown here',
    'Take another file of it.',
  ],
  WEIGHT_INVALID: ['The model file is damaged', pickAnother],
  // Model files
  CONTAINER_UNKNOWN: ['This is not a model file', pickAnother],
  CONTAINER_INVALID: ['The model file is damaged', pickAnother],
  CONTAINER_UNSUPPORTED: ['This kind of file cannot be read', pickAnother],
  PICKLE_REFUSED: [
    'The file holds more than a model',
    'Such a file could run programs, so it is not opened. Take a plain checkpoint.',
  ],
  LAYOUT_UNKNOWN: ['This is no RWKV model', pickAnother],
  LAYOUT_REFUSED: ['This kind of model cannot be run', 'Take an RWKV model of version 4 to 7.'],
  VERSION_UNSUPPORTED: [
    'This version of RWKV cannot be run',
    'Take an RWKV model of version 4 to 7.',
  ],
  TENSOR_MISSING: ['The model file is incomplete', pickAnother],
  TENSOR_INVALID: ['The model file is damaged', pickAnother],
  READ_OUT_OF_RANGE: ['The model file is cut off', 'Download it again; it ends too early.'],
  CONFIG_INVALID: ['The model file contradicts itself', pickAnother],
  VOCABULARY_INVALID: [
    'The vocabulary file cannot be read',
    'Choose rwkv_vocab_v20230424.txt, or the file that came with the model.',
  ],
  VOCABULARY_CORRUPT: ['The vocabulary file is damaged', 'Download it again.'],
  VOCABULARY_MISMATCH: [
    'The vocabulary does not fit the model',
    'Choose the vocabulary that belongs to this model.',
  ],
  TOKENIZER_REQUIRED: [
    'The model needs its vocabulary',
    'Choose the vocabulary file together with the model.',
  ],
  // Finding and fetching
  REFERENCE_INVALID: [
    'This is no address of a model',
    'Write owner/repository, owner/repository:file, or a URL that begins with https://.',
  ],
  LOCAL_FILES_UNAVAILABLE: [
    'A page cannot open paths',
    'Choose the file, or drop it onto the page.',
  ],
  NOT_FOUND: ['There is no such model', 'Check the spelling of the address.'],
  ACCESS_DENIED: [
    'The model may not be read',
    'Check the address; for a private model give an access token.',
  ],
  GATED: [
    'The model’s owner wants its terms accepted',
    'Accept them on the model’s page, then give an access token here.',
  ],
  MODEL_AMBIGUOUS: [
    'The repository holds several models',
    'Write which one: owner/repository:file.',
  ],
  NO_MODEL_FILE: ['The repository holds no model file', 'Check the address.'],
  OFFLINE: [
    'There is no connection',
    'Models under “Storage” work offline; others need a connection.',
  ],
  SERVER_FAILED: ['The server did not deliver the model', askAgain],
  RATE_LIMITED: [
    'The server asks to wait',
    'Try again in a few minutes; the download goes on where it stopped.',
  ],
  REDIRECT_REFUSED: ['The server leads elsewhere', 'Check the address.'],
  SIZE_MISMATCH: [
    'The download is not what was announced',
    'Try again; if it stays so, the file on the server is broken.',
  ],
  HASH_MISMATCH: [
    'The download is not the file it should be',
    'Nothing of it was kept. Try again, and check the address.',
  ],
  FILE_CHANGED: ['The file was replaced during the download', 'Try again to get the new one.'],
  // Keeping
  STORAGE_FULL: ['There is not enough room for this model', freeSpace],
  STORAGE_BUSY: [
    'Another tab is using this model',
    'Close the other tab, or wait until it is done.',
  ],
  STORAGE_UNAVAILABLE: [
    'This browser keeps no models here',
    'Open the page by https:, outside private windows.',
  ],
  STORAGE_FAILED: ['The browser’s storage failed', freeSpace],
  SOURCE_FAILED: [
    'The file could not be read',
    'It may have been moved or changed. Choose it again.',
  ],
  LIBRARY_FULL: [
    'There is no room left for conversations in this browser',
    'Save this one as a file, and remove others, or models under “Storage”.',
  ],
  LIBRARY_FAILED: [
    'This browser’s storage does not work here',
    'Save conversations as files. Private windows often forbid storage.',
  ],
  LIBRARY_MISSING: ['Its file is gone', 'It can be removed from the list.'],
  // Talking
  STATE_FILE_INVALID: [
    'This is no saved conversation, or a damaged one',
    'Choose a file that was saved here.',
  ],
  STATE_MISMATCH: [
    'The conversation belongs to another model',
    'Load the model it was held with, then open it again.',
  ],
  QUEUE_FULL: ['Too many conversations are writing at once', 'Stop one of them.'],
  CONVERSATION_BUSY: ['The conversation is still writing', 'Stop it first.'],
  PROMPT_EMPTY: ['There is nothing to go on from', 'Write something first.'],
  MODEL_DISPOSED: ['The model was replaced', 'Ask again.'],
  FORWARD_FAILED: ['The model could not go on', reload],
  ABORTED: ['Stopped', 'Start again when you like; a download goes on where it stopped.'],
  OPTION_INVALID: ['A setting is out of range', 'Reset the settings of this conversation.'],
};

/** The innermost cause that says something: a failed step is told as the lost device it comes from. */
function telling(error: unknown): unknown {
  if (
    RwkvError.isInstance(error) &&
    error.code === 'FORWARD_FAILED' &&
    RwkvError.isInstance(error.cause)
  ) {
    return error.cause;
  }
  return error;
}

export function explain(error: unknown): Failure {
  const told = telling(error);
  const detail = told instanceof Error ? told.message : String(told);
  if (!RwkvError.isInstance(told)) {
    const title = 'Something went wrong that should not have';
    return { code: 'UNKNOWN', title, advice: 'Load the page again.', detail };
  }
  const [title, advice] = words[told.code] ?? ['The model could not be used', pickAnother];
  return { code: told.code, title, advice: `${amounts(told)}${advice}`, detail };
}

/** What is needed and what there is, where the browser tells. */
function amounts({ code, expected, got }: RwkvError): string {
  if (code !== 'STORAGE_FULL') return '';
  if (typeof expected !== 'number' || typeof got !== 'number') return '';
  return `${formatBytes(got)} are needed, ${formatBytes(expected)} are free. `;
}
