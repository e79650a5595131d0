import type {
  Failure,
  LoadProgress,
  LoadRequest,
  Message,
  Mode,
  ModelInfo,
  StatePicture,
  StorageReport,
  TurnResult,
  TurnSettings,
} from '../protocol/messages.js';

/** What is being written right now. */
export interface Live {
  readonly text: string;
  readonly reasoning: string;
  readonly tokens: number;
  readonly tokensPerSecond: number;
}

export type Stats = Omit<TurnResult, 'messages' | 'finishReason'>;

export interface Conversation {
  readonly id: string;
  readonly title: string;
  readonly mode: Mode;
  readonly system: string;
  readonly settings: TurnSettings;
  readonly messages: readonly Message[];
  /** Present while it writes. */
  readonly live?: Live;
  readonly stats?: Stats;
  readonly finishReason?: TurnResult['finishReason'];
  readonly failure?: Failure;
  readonly draft: string;
}

/** A conversation that is kept by the browser and not open. */
export interface Kept {
  readonly id: string;
  readonly title: string;
  readonly fingerprint: string;
  readonly mode: Mode;
  readonly settings: TurnSettings;
  readonly savedAt: number;
  /** Bytes of its state file. */
  readonly size: number;
}

export type ModelStatus =
  | { readonly kind: 'loading'; readonly request: LoadRequest; readonly progress: LoadProgress }
  | { readonly kind: 'ready'; readonly request: LoadRequest; readonly info: ModelInfo }
  | {
      readonly kind: 'failed';
      readonly request: LoadRequest | undefined;
      readonly failure: Failure;
    };

export interface AppState {
  readonly model: ModelStatus;
  readonly conversations: Readonly<Record<string, Conversation>>;
  /** Side by side, from left to right. */
  readonly panes: readonly string[];
  readonly focused: string | undefined;
  readonly kept: readonly Kept[];
  readonly notices: readonly { readonly id: number; readonly message: string }[];
  readonly storage: StorageReport | undefined;
  /** Whose state is shown. */
  readonly watched: string | undefined;
  readonly picture: StatePicture | undefined;
  /** Read out by screen readers: the end of an answer, not its every token. */
  readonly announcement: string;
}
