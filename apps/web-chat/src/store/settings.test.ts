import { describe, expect, it } from 'vitest';
import { defaultSettings, isPreset, samplingOf, withPreset } from './settings.js';

const info = { presets: { chat: 'rwkv-chat', text: 'pipeline' } };

describe('settings', () => {
  it('start with the preset that fits, every number of it', () => {
    expect(defaultSettings(info, 'chat')).toMatchObject({
      temperature: 1,
      topP: 0.3,
      presencePenalty: 0.5,
      frequencyPenalty: 0.5,
      penaltyDecay: 0.996,
      minP: 0,
      topK: 0,
    });
    expect(samplingOf('bytes')).toMatchObject({ temperature: 0.8, minP: 0.2, topP: 1 });
  });

  it('know whether they were changed by hand', () => {
    const settings = withPreset(defaultSettings(info, 'chat'), 'creative');
    expect(isPreset(settings)).toBe(true);
    expect(isPreset({ ...settings, topP: 0.81 })).toBe(false);
  });
});
