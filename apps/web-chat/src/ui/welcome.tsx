import { Button } from 'react-aria-components';
import type { ModelInfo } from '../protocol/messages.js';
import type { Conversation } from '../store/types.js';
import { useApp } from './app-context.js';
import { formatBytes } from '../format.js';

const beginnings = {
  bible: ['In the beginning', 'And the LORD said unto Moses,', 'Blessed are they that'],
  text: ['The old lighthouse keeper', 'Once upon a time, in a small village'],
  chat: [
    'What is a recurrent neural network?',
    'Write a haiku about the sea.',
    'Give me three uses for a brick.',
  ],
};

/** An empty conversation says what the model is good for, and offers a first step. */
export function Welcome({
  conversation,
  info,
}: {
  readonly conversation: Conversation;
  readonly info: ModelInfo;
}) {
  const { chat } = useApp();
  const { id, mode } = conversation;
  const isBible = info.tokenizer === 'bytes';
  const offered = mode === 'chat' ? beginnings.chat : isBible ? beginnings.bible : beginnings.text;
  return (
    <div className="messages">
      <div className="column welcome">
        <h3>{mode === 'chat' ? 'Ask it something.' : 'Begin a text. It goes on.'}</h3>
        <p>
          {mode === 'text' && info.suggestedMode === 'text'
            ? 'This is a base model: it does not answer questions, it continues what you write. '
            : ''}
          Everything happens in this tab; nothing you write leaves your device. However long you
          talk, the model remembers in {formatBytes(info.stateBytes)}.
        </p>
        <ul className="beginnings">
          {offered.map((text) => (
            <li key={text}>
              <Button className="beginning" onPress={() => void chat.send(id, text)}>
                {text}
              </Button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
