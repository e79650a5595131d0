/** Everything that can be set for one conversation. */
import { useState } from 'react';
import {
  Button,
  Label,
  ListBox,
  ListBoxItem,
  NumberField,
  Input,
  Popover,
  Select,
  SelectValue,
  Slider,
  SliderOutput,
  SliderThumb,
  SliderTrack,
  TextArea,
  TextField,
} from 'react-aria-components';
import { ChevronDown } from 'lucide-react';
import type { Mode, Sampling, Think, TurnSettings } from '../protocol/messages.js';
import { isPreset, presetLabels, withPreset } from '../store/settings.js';
import type { Conversation } from '../store/types.js';
import { useApp } from './app-context.js';

interface Knob {
  readonly name: keyof Sampling;
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

const knobs: readonly Knob[] = [
  { name: 'temperature', label: 'Temperature', min: 0, max: 2, step: 0.05 },
  { name: 'topP', label: 'Top-p', min: 0, max: 1, step: 0.01 },
  { name: 'topK', label: 'Top-k (0: off)', min: 0, max: 200, step: 1 },
  { name: 'minP', label: 'Min-p', min: 0, max: 0.5, step: 0.01 },
  { name: 'presencePenalty', label: 'Presence penalty', min: 0, max: 2, step: 0.05 },
  { name: 'frequencyPenalty', label: 'Frequency penalty', min: 0, max: 2, step: 0.05 },
  { name: 'penaltyDecay', label: 'Penalty decay', min: 0.9, max: 1, step: 0.001 },
];

const thinking: readonly Choice[] = [
  { id: 'none', label: 'As the model likes' },
  { id: 'fake', label: 'Skip thinking' },
  { id: 'think', label: 'Think first' },
];

const lengths: readonly Choice[] = [
  { id: 'default', label: 'As long as it likes' },
  { id: 'short', label: 'A bit' },
  { id: 'normal', label: 'Normal' },
  { id: 'long', label: 'A lot' },
];

export function ConversationSettings({ conversation }: { readonly conversation: Conversation }) {
  const { chat } = useApp();
  const { id, settings, mode } = conversation;
  const change = (part: Partial<TurnSettings>): void => {
    chat.configure(id, { ...settings, ...part });
  };
  return (
    <div className="settings">
      <Beginning conversation={conversation} />
      {mode === 'chat' && (
        <div className="field-pair">
          <Choose
            label="Thinking"
            choices={thinking}
            value={settings.think}
            onChange={(value) => {
              change({ think: value as Think });
            }}
          />
          {settings.think === 'think' && (
            <Choose
              label="How much"
              choices={lengths}
              value={settings.thinkLength ?? 'default'}
              onChange={(value) => {
                const length = value as NonNullable<TurnSettings['thinkLength']> | 'default';
                change({ thinkLength: length === 'default' ? undefined : length });
              }}
            />
          )}
        </div>
      )}
      <h3>Sampling</h3>
      <Choose
        label={isPreset(settings) ? 'Preset' : 'Preset (changed)'}
        choices={Object.entries(presetLabels).map(([name, label]) => ({ id: name, label }))}
        value={settings.preset}
        onChange={(preset) => {
          chat.configure(id, withPreset(settings, preset));
        }}
      />
      {knobs.map((knob) => (
        <Knob
          key={knob.name}
          knob={knob}
          value={settings[knob.name]}
          onChange={(value) => {
            change({ [knob.name]: value });
          }}
        />
      ))}
      <div className="field-pair">
        <NumberField
          className="field"
          value={settings.maxTokens}
          minValue={1}
          maxValue={100_000}
          onChange={(maxTokens) => {
            change({ maxTokens: Number.isNaN(maxTokens) ? 256 : maxTokens });
          }}
        >
          <Label>Most tokens</Label>
          <Input className="input" />
        </NumberField>
        <NumberField
          className="field"
          value={settings.seed ?? NaN}
          minValue={0}
          formatOptions={{ useGrouping: false }}
          onChange={(seed) => {
            change({ seed: Number.isNaN(seed) ? undefined : seed });
          }}
        >
          <Label>Seed</Label>
          <Input className="input" placeholder="random" />
        </NumberField>
      </div>
    </div>
  );
}

/** What the model reads first. It cannot be changed afterwards, so changing it begins anew. */
function Beginning({ conversation }: { readonly conversation: Conversation }) {
  const { chat } = useApp();
  const { id, messages } = conversation;
  const [mode, setMode] = useState<Mode>(conversation.mode);
  const [system, setSystem] = useState(conversation.system);
  const isChanged =
    mode !== conversation.mode || (mode === 'chat' && system !== conversation.system);
  return (
    <>
      <Choose
        label="How it is laid out"
        choices={[
          { id: 'chat', label: 'Chat, in turns' },
          { id: 'text', label: 'One text that the model continues' },
        ]}
        value={mode}
        onChange={(value) => {
          setMode(value as Mode);
        }}
      />
      {mode === 'chat' && (
        <TextField className="field" value={system} onChange={setSystem}>
          <Label>System prompt</Label>
          <TextArea className="input" rows={3} placeholder="You are a helpful assistant." />
        </TextField>
      )}
      {isChanged && (
        <div className="button-row">
          <Button
            className="button primary"
            isDisabled={conversation.live !== undefined}
            onPress={() => {
              if (messages.length === 0) void chat.restart(id, mode, system);
              else void chat.start(mode, system);
            }}
          >
            {messages.length === 0 ? 'Use this' : 'New conversation with this'}
          </Button>
        </div>
      )}
    </>
  );
}

function Knob({
  knob,
  value,
  onChange,
}: {
  readonly knob: Knob;
  readonly value: number;
  readonly onChange: (value: number) => void;
}) {
  const { label, min, max, step } = knob;
  return (
    <Slider
      className="slider"
      minValue={min}
      maxValue={max}
      step={step}
      value={value}
      formatOptions={{ maximumFractionDigits: 3 }}
      onChange={onChange}
    >
      <Label>{label}</Label>
      <SliderOutput />
      <SliderTrack className="slider-track">
        {({ state }) => (
          <>
            <div className="slider-fill" style={{ width: `${state.getThumbPercent(0) * 100}%` }} />
            <SliderThumb className="slider-thumb" />
          </>
        )}
      </SliderTrack>
    </Slider>
  );
}

interface Choice {
  readonly id: string;
  readonly label: string;
}

function Choose({
  label,
  choices,
  value,
  onChange,
}: {
  readonly label: string;
  readonly choices: readonly Choice[];
  readonly value: string;
  readonly onChange: (value: string) => void;
}) {
  return (
    <Select
      className="field"
      value={value}
      onChange={(key) => {
        onChange(String(key));
      }}
    >
      <Label>{label}</Label>
      <Button className="input select-button">
        <SelectValue />
        <ChevronDown size={15} aria-hidden />
      </Button>
      <Popover className="popover list-popover">
        <ListBox items={choices}>
          {(choice) => (
            <ListBoxItem id={choice.id} className="list-item">
              {choice.label}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </Select>
  );
}
