export type { ChatChunk, ChatOptions, ChatResult } from './chat.js';
export {
  type ChatMessage,
  type ChatPrompt,
  type ChatTemplateOptions,
  renderChat,
} from './chat-template.js';
export { Conversation, type ConversationOptions, type TurnOptions } from './conversation.js';
export { GenerateError, type GenerateErrorCode } from './errors.js';
export type {
  FinishReason,
  GeneratedToken,
  GenerationResult,
  StreamChunk,
  TokenLogprob,
  Usage,
} from './generation.js';
export { type LanguageModel, stateBytesOf } from './language-model.js';
export {
  type LoadModelOptions,
  type LoadProgress,
  type ModelSource,
  loadModel,
} from './load-model.js';
export { Model } from './model.js';
export type {
  CreateModelOptions,
  EvaluateOptions,
  EvaluateResult,
  LogprobsResult,
  PerplexityResult,
  PrefillOptions,
} from './model-types.js';
export type { ModelState } from './model-state.js';
export type { GenerateOptions, Prompt, ReadState, SamplerPresetName } from './options.js';
export {
  type CachedWeights,
  type CreateLanguageModelOptions,
  createLanguageModel,
  type WeightCache,
} from './program-model.js';
export type { StateFile } from './state-file.js';
export * from './evaluate/index.js';
