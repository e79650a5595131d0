import { ChevronRight, GitFork, Pencil, RotateCcw } from 'lucide-react';
import { type KeyboardEvent, memo, useDeferredValue, useState } from 'react';
import { Button } from 'react-aria-components';
import type { Message, Mode } from '../protocol/messages.js';
import { Markdown } from './markdown.js';
import { ToolButton } from './tool-button.js';

export interface MessageActions {
  readonly onEdit?: (text: string) => void;
  readonly onFork?: () => void;
  readonly onRegenerate?: () => void;
}

/** One message, or one piece of a running text. */
export const MessageView = memo(function MessageView({
  message,
  mode,
  writing = false,
  actions,
}: {
  readonly message: Message;
  readonly mode: Mode;
  readonly writing?: boolean;
  readonly actions?: MessageActions;
}) {
  const [editing, setEditing] = useState(false);
  const { role, text, reasoning } = message;
  const isAnswer = role === 'assistant';
  const who = isAnswer ? 'Model' : 'You';
  if (editing) {
    return (
      <article className="message editing" data-role={role} aria-label="Editing what you wrote">
        <Editor
          text={text}
          onDone={(changed) => {
            setEditing(false);
            if (changed !== undefined) actions?.onEdit?.(changed);
          }}
        />
      </article>
    );
  }
  return (
    <article className="message" data-role={role} data-writing={writing} aria-label={who}>
      {reasoning !== undefined && reasoning !== '' && (
        <Reasoning text={reasoning} open={writing && text === ''} />
      )}
      <MessageText text={text} formatted={isAnswer && mode === 'chat'} writing={writing} />
      {actions !== undefined && (
        <div className="message-actions">
          {actions.onRegenerate && (
            <ToolButton label="Write this again" onPress={actions.onRegenerate}>
              <RotateCcw size={15} />
            </ToolButton>
          )}
          {actions.onEdit && (
            <ToolButton
              label="Edit"
              onPress={() => {
                setEditing(true);
              }}
            >
              <Pencil size={15} />
            </ToolButton>
          )}
          {actions.onFork && (
            <ToolButton label="Fork from here" onPress={actions.onFork}>
              <GitFork size={15} />
            </ToolButton>
          )}
        </div>
      )}
    </article>
  );
});

function MessageText({
  text,
  formatted,
  writing,
}: {
  readonly text: string;
  readonly formatted: boolean;
  readonly writing: boolean;
}) {
  // Long answers are formatted when there is time, never ahead of typing and scrolling.
  const shown = useDeferredValue(text);
  if (writing && text === '') {
    return (
      <span className="reading" aria-hidden>
        <i />
        <i />
        <i />
      </span>
    );
  }
  if (formatted) {
    return (
      <div className="prose">
        <Markdown text={shown} />
      </div>
    );
  }
  return <div className="plain">{text}</div>;
}

function Reasoning({ text, open }: { readonly text: string; readonly open: boolean }) {
  return (
    <details className="reasoning">
      <summary>
        <ChevronRight size={14} aria-hidden />
        {open ? 'Thinking…' : 'Thoughts'}
      </summary>
      <div className="plain">{text.trim()}</div>
    </details>
  );
}

function Editor({
  text,
  onDone,
}: {
  readonly text: string;
  readonly onDone: (text: string | undefined) => void;
}) {
  const [draft, setDraft] = useState(text);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') onDone(undefined);
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      onDone(draft);
    }
  };
  return (
    <div className="editor">
      <textarea
        value={draft}
        aria-label="What you wrote"
        autoFocus
        onKeyDown={onKeyDown}
        onChange={(event) => {
          setDraft(event.target.value);
        }}
      />
      <div className="button-row">
        <Button
          className="button primary"
          onPress={() => {
            onDone(draft);
          }}
        >
          Send
        </Button>
        <Button
          className="button"
          onPress={() => {
            onDone(undefined);
          }}
        >
          Cancel
        </Button>
        <span className="hint">What follows is written anew. Fork first to keep it.</span>
      </div>
    </div>
  );
}
