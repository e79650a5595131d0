/**
 * One running text: the person writes a piece, the model goes on, and so in turns. For base models, which know no chat
 * format. The state after each piece is kept, so that every place of the text can be gone back to without reading.
 */
import {
  type GenerationResult,
  type Model,
  type ModelState,
  stateBytesOf,
} from '@rwkv-ts/generate';
import type { Message } from '../protocol/messages.js';
import { type TextPiece, decodeText, encodeText } from './text-file.js';
import {
  type Chunk,
  type Thread,
  type TurnContext,
  generateOptionsOf,
  keptTurns,
} from './thread.js';

interface Piece extends TextPiece {
  /** After all pieces up to this one; absent where the piece is too long ago. */
  readonly state?: ModelState;
}

export class TextThread implements Thread {
  readonly mode = 'text';
  readonly system = '';
  readonly #model: Model;
  #pieces: readonly Piece[] = [];

  constructor(model: Model, pieces: readonly Piece[] = []) {
    this.#model = model;
    this.#pieces = pieces;
  }

  /** @throws GenerateError `STATE_FILE_INVALID`, `STATE_MISMATCH` */
  static restore(model: Model, bytes: Uint8Array): TextThread {
    const { state, attachment } = model.loadState(bytes);
    const { pieces, known } = decodeText(attachment);
    return new TextThread(
      model,
      pieces.map((piece, index) => (index === known - 1 ? { ...piece, state } : piece)),
    );
  }

  get messages(): readonly Message[] {
    return this.#pieces.map(({ role, text }) => ({ role, text }));
  }

  get keptBytes(): number {
    return this.#pieces.reduce((sum, { state }) => sum + (state?.bytes ?? 0), 0);
  }

  async *say(text: string, context: TurnContext): AsyncGenerator<Chunk, void, undefined> {
    const before = this.#pieces;
    try {
      if (text !== '') {
        const state = await this.#read([...before, { role: 'user', text }], context.signal);
        this.#pieces = [...before, { role: 'user', text, ...(state && { state }) }];
      }
      yield* this.#goOn(context);
    } catch (error) {
      this.#pieces = before;
      throw error;
    }
  }

  async *regenerate(context: TurnContext): AsyncGenerator<Chunk, void, undefined> {
    const before = this.#pieces;
    if (before.at(-1)?.role === 'assistant') this.#pieces = before.slice(0, -1);
    try {
      yield* this.#goOn(context);
    } catch (error) {
      this.#pieces = before;
      throw error;
    }
  }

  rewind(count: number): void {
    this.#pieces = this.#pieces.slice(0, count);
  }

  fork(): TextThread {
    return new TextThread(this.#model, this.#pieces);
  }

  save(): Uint8Array<ArrayBuffer> {
    const known = this.#pieces.findLastIndex(({ state }) => state !== undefined) + 1;
    const state = this.#pieces[known - 1]?.state ?? this.#model.createState(new Map());
    return this.#model.saveState(state, encodeText({ pieces: this.#pieces, known }));
  }

  async *#goOn(context: TurnContext): AsyncGenerator<Chunk, void, undefined> {
    const start = await this.#read(this.#pieces, context.signal);
    const written = { text: '', result: undefined as GenerationResult | undefined };
    const options = { ...generateOptionsOf(context), keepState: true };
    try {
      const state = start === undefined ? {} : { state: start };
      for await (const chunk of this.#model.stream('', { ...options, ...state })) {
        written.text += chunk.text;
        written.result = chunk.result;
        // The text is complete before its reader sees the end.
        if (chunk.result !== undefined) this.#commit(written);
        yield chunk;
      }
    } finally {
      if (written.result === undefined) this.#commit(written);
    }
  }

  #commit({ text, result }: { text: string; result: GenerationResult | undefined }): void {
    if (text === '') return;
    const piece: Piece = {
      role: 'assistant',
      text,
      ...(result?.state === undefined ? {} : { state: result.state }),
    };
    this.#pieces = forgetOld([...this.#pieces, piece], keptTurns(this.#stateBytes) * 2);
  }

  /** The state after `pieces`: what follows the last one that is kept is read. Undefined before the first. */
  async #read(pieces: readonly Piece[], signal: AbortSignal): Promise<ModelState | undefined> {
    const known = pieces.findLastIndex(({ state }) => state !== undefined);
    const state = pieces[known]?.state;
    const rest = pieces
      .slice(known + 1)
      .map(({ text }) => text)
      .join('');
    if (rest === '') return state;
    return this.#model.prefill(rest, { signal, ...(state && { state }) });
  }

  get #stateBytes(): number {
    return stateBytesOf(this.#model.languageModel.stateSpecs);
  }
}

function forgetOld(pieces: readonly Piece[], most: number): readonly Piece[] {
  return pieces.map(({ role, text, ...kept }, index) =>
    index < pieces.length - most ? { role, text } : { role, text, ...kept },
  );
}
