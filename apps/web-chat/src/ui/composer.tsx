import { ArrowUp, Square } from 'lucide-react';
import { type KeyboardEvent, useEffect, useLayoutEffect, useRef } from 'react';
import type { Conversation } from '../store/types.js';
import { useApp } from './app-context.js';
import { ToolButton } from './tool-button.js';

/** As tall as its text, where the browser does not do this by itself. */
function fitHeight(field: HTMLTextAreaElement): void {
  if (CSS.supports('field-sizing', 'content')) return;
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight}px`;
}

/** Where the person writes. Enter sends, Shift+Enter begins a line, Escape stops the model. */
export function Composer({
  conversation,
  focused,
}: {
  readonly conversation: Conversation;
  readonly focused: boolean;
}) {
  const { chat } = useApp();
  const field = useRef<HTMLTextAreaElement>(null);
  const { id, mode, draft, live, messages } = conversation;
  const isWriting = live !== undefined;
  const canGoOn = mode === 'text' && messages.length > 0;
  const canSend = draft.trim() !== '' || canGoOn;
  useEffect(() => {
    // Not on phones: their keyboard would cover what there is to read.
    if (focused && matchMedia('(pointer: fine)').matches) field.current?.focus();
  }, [focused]);
  useLayoutEffect(() => {
    if (field.current !== null) fitHeight(field.current);
  }, [draft]);
  const send = (): void => {
    if (canSend && !isWriting) void chat.send(id, draft);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && isWriting) void chat.stop(id);
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  const [label, placeholder] =
    mode === 'chat'
      ? ['Message', 'Say something']
      : canGoOn
        ? ['Your text', 'Add something, or let it go on']
        : ['Your text', 'Begin a text'];
  return (
    <div className="composer">
      <textarea
        ref={field}
        value={draft}
        rows={1}
        aria-label={label}
        placeholder={placeholder}
        onKeyDown={onKeyDown}
        onChange={(event) => {
          chat.draft(id, event.target.value);
        }}
      />
      {isWriting ? (
        <ToolButton label="Stop" className="send-button" onPress={() => void chat.stop(id)}>
          <Square size={14} fill="currentColor" />
        </ToolButton>
      ) : (
        <ToolButton
          label={mode === 'chat' ? 'Send' : draft === '' ? 'Go on' : 'Add and go on'}
          className="send-button"
          isDisabled={!canSend}
          onPress={send}
        >
          <ArrowUp size={18} />
        </ToolButton>
      )}
    </div>
  );
}
