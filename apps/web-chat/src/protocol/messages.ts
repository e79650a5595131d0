/**
 * What the page and the worker say to each other. The page asks (`Requests`: each has an answer or a failure); the worker
 * tells (`Events`). Everything is plain data that can be cloned.
 */
import type { SamplerOptions } from '@rwkv-ts/sampler';

/** How a conversation is laid out: as turns of a chat, or as one running text. */
export type Mode = 'chat' | 'text';

export type Think = 'none' | 'fake' | 'think';

/** What a person can set for one conversation. */
export interface TurnSettings {
  readonly preset: string;
  readonly temperature: number;
  readonly topP: number;
  /** 0: off. */
  readonly topK: number;
  readonly minP: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly penaltyDecay: number;
  readonly maxTokens: number;
  /** Empty: another text each time. */
  readonly seed: number | undefined;
  readonly think: Think;
  readonly thinkLength: 'short' | 'normal' | 'long' | undefined;
}

export type Sampling = Pick<
  Required<SamplerOptions>,
  'temperature' | 'topP' | 'topK' | 'minP' | 'presencePenalty' | 'frequencyPenalty' | 'penaltyDecay'
>;

/** Where a model comes from. */
export type ModelSource =
  | { readonly kind: 'bundled' }
  | { readonly kind: 'file'; readonly file: File }
  | {
      readonly kind: 'reference';
      /** `owner/repository[:file][@revision]` or a URL. */
      readonly reference: string;
      readonly token?: string;
      readonly hubUrl?: string;
      /** Of a URL's file. */
      readonly sha256?: string;
      /** Take nothing from the network. */
      readonly offline?: boolean;
    };

export interface LoadRequest {
  readonly source: ModelSource;
  /** A vocabulary file, for models that come without one. */
  readonly vocabulary?: File;
}

export interface ModelInfo {
  readonly name: string;
  /** `7`, `5.2`, … */
  readonly version: string;
  readonly layers: number;
  readonly channels: number;
  readonly vocabularySize: number;
  /** `world`, `bytes`, `20b`. */
  readonly tokenizer: string;
  readonly fingerprint: string;
  /** Bytes of one conversation's state: always the same. */
  readonly stateBytes: number;
  /** Bytes that weights, states and buffers take on the device. */
  readonly deviceBytes: number;
  readonly backend: string;
  /** Why this is slow, where the GPU could not be used. */
  readonly slowBecause?: string;
  /** Conversations that write at the same time. */
  readonly slots: number;
  readonly suggestedMode: Mode;
  /** The preset that fits: `rwkv-chat`, `bytes`, `pipeline`. */
  readonly presets: Readonly<Record<Mode, string>>;
  readonly notes: readonly string[];
}

/** `finish`: all shaders are made, and the device has yet to say that everything went well. */
export type LoadPhase =
  'start' | 'wait' | 'check' | 'download' | 'open' | 'upload' | 'compile' | 'finish';

export interface LoadProgress {
  readonly phase: LoadPhase;
  /** Bytes, or shaders while compiling. */
  readonly done: number;
  /** 0: not known. */
  readonly total: number;
}

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly text: string;
  readonly reasoning?: string;
}

export interface TurnResult {
  readonly messages: readonly Message[];
  readonly finishReason: 'stop' | 'length' | 'abort';
  /** Tokens this conversation stands for so far. */
  readonly tokens: number;
  readonly writtenTokens: number;
  readonly tokensPerSecond: number;
  /** Bytes of states kept to go back to. */
  readonly keptBytes: number;
}

export interface StoredModel {
  readonly id: string;
  readonly name: string;
  readonly reference: string;
  readonly state: 'verified' | 'partial' | 'damaged';
  readonly received: number;
  readonly size: number;
}

export interface StorageReport {
  /** Absent where this browser offers no storage for models; then `why` says so. */
  readonly usage?: { readonly used: number; readonly free?: number; readonly quota?: number };
  readonly models: readonly StoredModel[];
  readonly why?: string;
}

/** A state as a picture: signed bytes, head by head. */
export interface StatePicture {
  readonly layers: number;
  readonly heads: number;
  /** Of a head's tile, after shrinking. */
  readonly width: number;
  readonly height: number;
  /** [layers, heads, height, width]: -127 to 127, the root of the share of the layer's largest number. */
  readonly pixels: Int8Array;
  /** [layers, heads]: root mean square of the numbers themselves. */
  readonly strength: Float32Array;
  /** What a tile is, in numbers of the model: `64 × 64`. */
  readonly tile: string;
}

export interface Failure {
  readonly code: string;
  /** What happened, in plain words. */
  readonly title: string;
  /** What to do. */
  readonly advice: string;
  /** The error's own message. */
  readonly detail: string;
}

/** What is asked for, and what the answer is. */
export interface Requests {
  load: { params: LoadRequest; result: ModelInfo };
  cancelLoad: { params: null; result: null };
  open: {
    params: { readonly id: string; readonly mode: Mode; readonly system: string };
    result: null;
  };
  say: {
    params: { readonly id: string; readonly text: string; readonly settings: TurnSettings };
    result: TurnResult;
  };
  regenerate: {
    params: { readonly id: string; readonly settings: TurnSettings };
    result: TurnResult;
  };
  stop: { params: { readonly id: string }; result: null };
  /** Keeps the first `keep` messages (the system's not counted). Instant: no token is read. */
  rewind: { params: { readonly id: string; readonly keep: number }; result: null };
  /** As `rewind` on a copy. */
  fork: {
    params: { readonly id: string; readonly into: string; readonly keep: number };
    result: null;
  };
  close: { params: { readonly id: string }; result: null };
  save: { params: { readonly id: string }; result: Uint8Array<ArrayBuffer> };
  restore: {
    params: { readonly id: string; readonly bytes: Uint8Array };
    result: { readonly mode: Mode; readonly system: string; readonly messages: readonly Message[] };
  };
  /** Sends pictures of this conversation's state; of none with `null`. */
  watch: { params: { readonly id: string | null }; result: null };
  storage: { params: null; result: StorageReport };
  removeStored: { params: { readonly id: string }; result: number };
  clearStored: { params: null; result: number };
}

export type Method = keyof Requests;

export interface Events {
  progress: LoadProgress;
  notice: { readonly message: string };
  /** What was written since the last one. */
  delta: {
    readonly id: string;
    readonly text: string;
    readonly reasoning: string;
    readonly tokens: number;
    readonly tokensPerSecond: number;
  };
  /** The device went away; conversations must be restored on a model that is loaded anew. */
  lost: { readonly failure: Failure };
  picture: { readonly id: string; readonly picture: StatePicture };
}

export type EventName = keyof Events;

export type ToWorker = {
  [Name in Method]: {
    readonly type: 'request';
    readonly call: number;
    readonly method: Name;
    readonly params: Requests[Name]['params'];
  };
}[Method];

export type FromWorker =
  | { readonly type: 'answer'; readonly call: number; readonly result: unknown }
  | { readonly type: 'failure'; readonly call: number; readonly failure: Failure }
  | {
      [Name in EventName]: {
        readonly type: 'event';
        readonly name: Name;
        readonly value: Events[Name];
      };
    }[EventName];
