/** One terminal conversation: lines in, answers streamed out, /commands in between. */
import { readFile } from 'node:fs/promises';
import { createInterface, type Interface } from 'node:readline';
import type { ChatChunk, Conversation, ConversationOptions, Model } from '@rwkv-ts/generate';
import { outputColors as colors } from './colors.js';
import { exitCodes } from './exit-codes.js';
import { describeFailure, ExitError, inFile } from './failure.js';
import { writeWhole } from './output-file.js';
import { oneLine, printable } from './printable.js';
import type { Terminal } from './terminal.js';

export interface ChatSessionOptions {
  readonly model: Model;
  readonly terminal: Terminal;
  readonly settings: Omit<ConversationOptions, 'system' | 'messages'>;
  readonly system?: string;
}

interface ChatCommand {
  readonly usage: string;
  readonly help: string;
  run(argument: string): Promise<void> | void;
}

const firstBranch = 'main';

export class ChatSession {
  readonly #model: Model;
  readonly #terminal: Terminal;
  readonly #settings: ChatSessionOptions['settings'];
  readonly #branches = new Map<string, Conversation>();
  #branch = firstBranch;
  #answering: AbortController | undefined;
  #over = false;
  #regenerated = 0;

  constructor({ model, terminal, settings, system }: ChatSessionOptions) {
    this.#model = model;
    this.#terminal = terminal;
    this.#settings = settings;
    this.#branches.set(
      firstBranch,
      model.conversation({ ...settings, ...(system === undefined ? {} : { system }) }),
    );
  }

  async load(path: string): Promise<void> {
    const conversation = await inFile(path, async () =>
      this.#model.loadConversation(await readFile(path), this.#settings),
    );
    this.#branches.set(this.#branch, conversation);
    this.#terminal.note(`${path}: ${conversation.messages.length} messages`);
  }

  /** Until /exit, the end of input, or Ctrl-C at the prompt. Ctrl-C during an answer stops the answer. */
  async run(): Promise<void> {
    const interactive = process.stdin.isTTY && process.stdout.isTTY;
    const reader = createInterface({
      input: process.stdin,
      output: interactive ? process.stdout : undefined,
      prompt: this.#prompt(),
    });
    const left = { byInterrupt: false };
    const onInterrupt = (): void => {
      if (this.#answering) this.#answering.abort();
      // As in a shell: a half-typed line is thrown away, an empty one means leave.
      else if (interactive && reader.line !== '') reader.write(null, { ctrl: true, name: 'u' });
      else {
        left.byInterrupt = true;
        reader.close();
      }
    };
    reader.on('SIGINT', onInterrupt);
    this.#terminal.signal.addEventListener('abort', onInterrupt, { once: true });
    if (interactive) this.#terminal.note('Type a message; /help lists the commands, /exit leaves.');
    try {
      await this.#readLines(reader, interactive);
    } finally {
      reader.close();
    }
    if (left.byInterrupt || this.#terminal.signal.aborted)
      throw new ExitError(exitCodes.interrupted);
  }

  async #readLines(reader: Interface, interactive: boolean): Promise<void> {
    const ask = (): void => {
      if (!interactive || this.#over) return;
      reader.setPrompt(this.#prompt());
      reader.prompt();
    };
    ask();
    for await (const line of reader) {
      if (line.trim() !== '') await this.#handle(line.trim());
      if (this.#over || this.#terminal.signal.aborted) return;
      ask();
    }
  }

  #prompt(): string {
    return colors.bold(this.#branches.size > 1 ? `${this.#branch}> ` : '> ');
  }

  /** A failed turn or command is told, and the conversation goes on. */
  async #handle(line: string): Promise<void> {
    try {
      if (line.startsWith('/')) await this.#command(line);
      else await this.#answer((signal) => this.#conversation.stream(line, { signal }));
    } catch (error) {
      this.#terminal.note(oneLine(describeFailure(error).line ?? 'stopped'));
    }
  }

  get #conversation(): Conversation {
    return this.#branches.get(this.#branch)!;
  }

  async #answer(start: (signal: AbortSignal) => AsyncIterable<ChatChunk>): Promise<void> {
    this.#answering = new AbortController();
    let thinking = false;
    let tokens = 0;
    const began = performance.now();
    try {
      for await (const { text, reasoning, token } of start(this.#answering.signal)) {
        if (token !== undefined) tokens++;
        if (reasoning !== '') await this.#terminal.write(colors.dim(this.#shown(reasoning)));
        if (thinking && reasoning === '' && text !== '') await this.#terminal.write('\n');
        thinking = reasoning !== '';
        if (text !== '') await this.#terminal.writeSpoken(text);
      }
    } finally {
      const stopped = this.#answering.signal.aborted;
      this.#answering = undefined;
      await this.#terminal.write('\n');
      const rate = tokens / ((performance.now() - began) / 1000);
      if (process.stderr.isTTY && (tokens > 0 || stopped))
        this.#terminal.note(
          `${stopped ? 'stopped; ' : ''}${tokens} tokens, ${rate.toFixed(1)} tokens/s`,
        );
    }
  }

  async #command(line: string): Promise<void> {
    const [, name = '', argument = ''] = /^\/(\S*)\s*([^]*)$/.exec(line) ?? [];
    const command = Object.hasOwn(this.#commands, name) ? this.#commands[name] : undefined;
    if (command) await command.run(argument.trim());
    else this.#terminal.note(`there is no /${name}; /help lists the commands.`);
  }

  readonly #commands: Readonly<Record<string, ChatCommand>> = {
    help: { usage: '/help', help: 'this list', run: () => this.#help() },
    save: {
      usage: '/save FILE',
      help: 'the conversation with its state',
      run: (path) => this.#save(path),
    },
    load: {
      usage: '/load FILE',
      help: 'go on with a saved one',
      run: async (path) => {
        if (this.#needs(path, '/load FILE')) await this.load(path);
      },
    },
    fork: {
      usage: '/fork NAME',
      help: 'a second conversation that goes on from here',
      run: (name) => {
        this.#fork(name);
      },
    },
    switch: {
      usage: '/switch NAME',
      help: 'talk in another one; without a name, list them',
      run: (name) => {
        this.#switch(name);
      },
    },
    undo: {
      usage: '/undo',
      help: 'take back the last question and its answer',
      run: () => {
        const { length } = this.#conversation.undo();
        this.#terminal.note(length === 0 ? 'there is nothing to take back.' : 'taken back');
      },
    },
    regenerate: {
      usage: '/regenerate',
      help: 'another answer to the last question',
      run: () => this.#regenerate(),
    },
    reset: {
      usage: '/reset',
      help: 'forget everything but the system text',
      run: () => {
        this.#conversation.reset();
        this.#terminal.note('forgotten');
      },
    },
    history: { usage: '/history', help: 'what was said', run: () => this.#history() },
    exit: {
      usage: '/exit',
      help: 'leave',
      run: () => {
        this.#over = true;
      },
    },
  };

  async #help(): Promise<void> {
    for (const { usage, help } of Object.values(this.#commands))
      await this.#terminal.line(`${usage.padEnd(16)} ${help}`);
  }

  async #regenerate(): Promise<void> {
    if (this.#conversation.messages.at(-1)?.role !== 'assistant') {
      this.#terminal.note('there is no answer to replace yet.');
      return;
    }
    // With the same seed the other answer would be the same answer.
    const seed = this.#settings.seed;
    const another = seed === undefined ? {} : { seed: BigInt(seed) + BigInt(++this.#regenerated) };
    await this.#answer((signal) => this.#conversation.regenerateStream({ ...another, signal }));
  }

  async #save(path: string): Promise<void> {
    if (!this.#needs(path, '/save FILE')) return;
    const bytes = this.#conversation.save();
    await writeWhole(path, bytes);
    this.#terminal.note(`${path}: ${bytes.length} bytes`);
  }

  #fork(name: string): void {
    if (!this.#needs(name, '/fork NAME')) return;
    if (this.#branches.has(name)) {
      this.#terminal.note(`there is already a conversation ${name}; /switch ${name} goes there.`);
      return;
    }
    this.#branches.set(name, this.#conversation.fork());
    this.#branch = name;
    this.#terminal.note(`now in ${name}; /switch goes back.`);
  }

  #switch(name: string): void {
    if (name !== '' && this.#branches.has(name)) this.#branch = name;
    else {
      const known = [...this.#branches.keys()].join(', ');
      this.#terminal.note(
        name === ''
          ? `conversations: ${known}`
          : `there is no conversation ${name}; there are: ${known}`,
      );
    }
  }

  async #history(): Promise<void> {
    for (const { role, content } of this.#conversation.messages)
      await this.#terminal.write(`${colors.bold(role)}: ${this.#shown(content)}\n`);
  }

  #shown(text: string): string {
    return process.stdout.isTTY ? printable(text) : text;
  }

  #needs(argument: string, usage: string): boolean {
    if (argument === '') this.#terminal.note(`usage: ${usage}`);
    return argument !== '';
  }
}
