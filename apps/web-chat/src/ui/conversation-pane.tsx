import { Activity, Download, SlidersHorizontal, X } from 'lucide-react';
import { type UIEvent, useCallback, useLayoutEffect, useRef, useState } from 'react';
import { Button } from 'react-aria-components';
import type { ModelInfo } from '../protocol/messages.js';
import { failureOf } from '../store/chat-actions.js';
import type { Conversation } from '../store/types.js';
import { useApp, useAppState } from './app-context.js';
import { Composer } from './composer.js';
import { ConversationSettings } from './conversation-settings.js';
import { Panel } from './dialogs.js';
import { FailureCard } from './failure-card.js';
import { formatBytes, formatCount, formatSpeed } from '../format.js';
import { MessageView } from './message-view.js';
import { saveBytes } from './save-bytes.js';
import { StateView } from './state-view.js';
import { ToolButton } from './tool-button.js';
import { Welcome } from './welcome.js';

export function ConversationPane({ id, info }: { readonly id: string; readonly info: ModelInfo }) {
  const { chat } = useApp();
  const conversation = useAppState(({ conversations }) => conversations[id]);
  const isFocused = useAppState(({ focused }) => focused === id);
  const isWatched = useAppState(({ watched }) => watched === id);
  if (conversation === undefined) return null;
  const { title, mode, failure, messages, live } = conversation;
  return (
    <section
      className="pane"
      data-focused={isFocused}
      data-mode={mode}
      data-writing={live !== undefined}
      aria-label={title}
      onFocusCapture={() => {
        chat.focus(id);
      }}
    >
      <PaneHeader conversation={conversation} info={info} watched={isWatched} />
      <div className="pane-body">
        <div className="pane-main">
          {messages.length === 0 && live === undefined ? (
            <Welcome conversation={conversation} info={info} />
          ) : (
            <Messages conversation={conversation} />
          )}
          <div className="pane-foot">
            {failure !== undefined && <FailureCard failure={failure} />}
            <Composer conversation={conversation} focused={isFocused} />
          </div>
        </div>
        {isWatched && <StateView info={info} />}
      </div>
    </section>
  );
}

function PaneHeader({
  conversation,
  info,
  watched,
}: {
  readonly conversation: Conversation;
  readonly info: ModelInfo;
  readonly watched: boolean;
}) {
  const { chat } = useApp();
  const [settingsOpen, setSettingsOpen] = useState(false);
  const { id, title, live, messages } = conversation;
  const save = async (): Promise<void> => {
    try {
      saveBytes(
        await chat.saveFile(id),
        `${title.replace(/[^\p{L}\p{N} -]/gu, '').trim()}.rwkv-chat`,
      );
    } catch (error) {
      const { title: what, advice } = failureOf(error);
      chat.notice(`${what}. ${advice}`);
    }
  };
  return (
    <header className="pane-header">
      <h2>{title}</h2>
      <Figures conversation={conversation} info={info} />
      <div className="tools">
        <ToolButton
          label={watched ? 'Hide the state' : 'Show the state'}
          aria-pressed={watched}
          onPress={() => void chat.watch(watched ? undefined : id)}
        >
          <Activity size={17} />
        </ToolButton>
        <ToolButton
          label="Save as a file"
          isDisabled={messages.length === 0 || live !== undefined}
          onPress={() => void save()}
        >
          <Download size={17} />
        </ToolButton>
        <ToolButton
          label="Settings"
          onPress={() => {
            setSettingsOpen(true);
          }}
        >
          <SlidersHorizontal size={17} />
        </ToolButton>
        <ToolButton label="Close" onPress={() => void chat.close(id)}>
          <X size={17} />
        </ToolButton>
      </div>
      <Panel title="Settings" side="right" open={settingsOpen} onOpenChange={setSettingsOpen}>
        <ConversationSettings conversation={conversation} />
      </Panel>
    </header>
  );
}

/** Memory, length and speed in one quiet line. */
function Figures({
  conversation: { live, stats },
  info,
}: {
  readonly conversation: Conversation;
  readonly info: ModelInfo;
}) {
  const speed = live?.tokensPerSecond ?? stats?.tokensPerSecond ?? 0;
  const kept = stats === undefined ? '' : `${formatBytes(stats.keptBytes)} kept to go back to`;
  return (
    <p className="figures">
      <span title="What a conversation needs on the device. It does not grow.">
        {formatBytes(info.stateBytes)} memory
      </span>
      {stats !== undefined && <span title={kept}>{formatCount(stats.tokens)} tokens</span>}
      {speed > 0 && <span className="speed">{formatSpeed(speed)}</span>}
    </p>
  );
}

function Messages({ conversation }: { readonly conversation: Conversation }) {
  const { chat } = useApp();
  const { id, messages, live, mode, finishReason } = conversation;
  const scroller = useRef<HTMLDivElement>(null);
  const sticks = useRef(true);
  const onScroll = useCallback((event: UIEvent<HTMLDivElement>) => {
    const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
    sticks.current = scrollHeight - scrollTop - clientHeight < 60;
  }, []);
  useLayoutEffect(() => {
    if (sticks.current) scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  }, [messages, live]);
  const last = messages.length - 1;
  return (
    <div className="messages" ref={scroller} onScroll={onScroll} aria-busy={live !== undefined}>
      <div className="column">
        {messages.map((message, index) => {
          const isAnswer = message.role === 'assistant';
          const actions = {
            ...(isAnswer ? {} : { onEdit: (text: string) => void chat.edit(id, index, text) }),
            ...(isAnswer && index === last ? { onRegenerate: () => void chat.regenerate(id) } : {}),
            onFork: () => void chat.fork(id, index),
          };
          return (
            <MessageView
              key={index}
              message={message}
              mode={mode}
              {...(live === undefined ? { actions } : {})}
            />
          );
        })}
        {live !== undefined && (
          <MessageView
            message={{ role: 'assistant', text: live.text, reasoning: live.reasoning }}
            mode={mode}
            writing
          />
        )}
        {live === undefined && finishReason === 'length' && mode === 'chat' && (
          <p className="hint">The answer reached the limit of tokens; raise it in the settings.</p>
        )}
        {live === undefined && messages.at(-1)?.role === 'user' && (
          <Button className="button" onPress={() => void chat.regenerate(id)}>
            Answer this
          </Button>
        )}
      </div>
    </div>
  );
}
