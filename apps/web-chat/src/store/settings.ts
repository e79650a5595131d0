import { samplerPresets } from '@rwkv-ts/sampler';
import type { Mode, ModelInfo, Sampling, TurnSettings } from '../protocol/messages.js';

/** Presets that are offered, by what people want them for. */
export const presetLabels: Readonly<Record<string, string>> = {
  'rwkv-chat': 'Chat (ChatRWKV)',
  reasoning: 'Reasoning (G1)',
  pipeline: 'General (rwkv pipeline)',
  creative: 'Creative',
  conservative: 'Precise',
  greedy: 'Always the likeliest',
  bytes: 'Byte models',
  runner: 'RWKV Runner',
  ai00: 'ai00',
};

const off: Sampling = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  penaltyDecay: 1,
};

/** Every number of a preset, with what it leaves out switched off. */
export function samplingOf(preset: string): Sampling {
  return { ...off, ...pick(samplerPresets[preset] ?? {}) };
}

function pick(options: object): Partial<Sampling> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => name in off));
}

/** What a new conversation starts with. */
export function defaultSettings(info: Pick<ModelInfo, 'presets'>, mode: Mode): TurnSettings {
  const preset = info.presets[mode];
  return {
    preset,
    ...samplingOf(preset),
    maxTokens: mode === 'chat' ? 1024 : 200,
    seed: undefined,
    think: 'none',
    thinkLength: undefined,
  };
}

/** With the preset's numbers, or with those of one that was changed by hand, which is then called so. */
export function withPreset(settings: TurnSettings, preset: string): TurnSettings {
  return { ...settings, preset, ...samplingOf(preset) };
}

/** Whether the numbers are those of the preset. */
export function isPreset({ preset, ...settings }: TurnSettings): boolean {
  const expected = samplingOf(preset);
  return Object.entries(expected).every(
    ([name, value]) => settings[name as keyof Sampling] === value,
  );
}
