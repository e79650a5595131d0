import { FolderOpen, HardDrive, Plus, Trash2 } from 'lucide-react';
import { Button, FileTrigger } from 'react-aria-components';
import { failureOf } from '../store/chat-actions.js';
import type { ModelStatus } from '../store/types.js';
import { useApp, useAppState } from './app-context.js';
import { formatDay } from '../format.js';
import { ModelCard } from './model-status.js';
import { ThemeChoice } from './theme-choice.js';
import { ToolButton } from './tool-button.js';

export function Sidebar({
  onChoose,
  onStorage,
  onDone = () => undefined,
}: {
  readonly onChoose: () => void;
  readonly onStorage: () => void;
  /** Something was chosen that is better seen without this. */
  readonly onDone?: () => void;
}) {
  const { chat } = useApp();
  const model = useAppState((state) => state.model);
  const openFile = async (file: File): Promise<void> => {
    try {
      await chat.openFile(file);
      onDone();
    } catch (error) {
      const { title, advice } = failureOf(error);
      chat.notice(`${title}. ${advice}`);
    }
  };
  return (
    <div className="sidebar">
      <p className="wordmark">
        RWKV <span>in this tab</span>
      </p>
      {model.kind === 'ready' && <ModelCard info={model.info} />}
      <Button
        className="button wide"
        onPress={() => {
          onChoose();
          onDone();
        }}
      >
        Choose a model
      </Button>
      <nav className="conversations" aria-label="Conversations">
        <div className="row-heading">
          <h2>Conversations</h2>
          <FileTrigger
            acceptedFileTypes={['.rwkv-chat']}
            onSelect={(files) => {
              const file = files?.item(0);
              if (file) void openFile(file);
            }}
          >
            <ToolButton label="Open a saved conversation" isDisabled={model.kind !== 'ready'}>
              <FolderOpen size={16} />
            </ToolButton>
          </FileTrigger>
          <ToolButton
            label="New conversation"
            isDisabled={model.kind !== 'ready'}
            onPress={() => {
              void chat.start();
              onDone();
            }}
          >
            <Plus size={17} />
          </ToolButton>
        </div>
        <ConversationList model={model} onDone={onDone} />
      </nav>
      <footer className="sidebar-foot">
        <Button
          className="quiet-button"
          onPress={() => {
            onStorage();
            onDone();
          }}
        >
          <HardDrive size={15} aria-hidden /> Storage
        </Button>
        <ThemeChoice />
      </footer>
    </div>
  );
}

function ConversationList({
  model,
  onDone,
}: {
  readonly model: ModelStatus;
  readonly onDone: () => void;
}) {
  const { chat } = useApp();
  const kept = useAppState((state) => state.kept);
  const panes = useAppState((state) => state.panes);
  const focused = useAppState((state) => state.focused);
  const conversations = useAppState((state) => state.conversations);
  if (model.kind !== 'ready') return null;
  const fresh = panes.filter((id) => kept.every((one) => one.id !== id));
  const closed = kept.filter(({ id }) => !panes.includes(id));
  const open = panes.filter((id) => !fresh.includes(id));
  return (
    <ul>
      {[...fresh, ...open].map((id) => (
        <li key={id}>
          <Button
            className="conversation-link"
            data-open
            {...(focused === id ? { 'aria-current': 'true' as const } : {})}
            onPress={() => {
              chat.focus(id);
              onDone();
            }}
          >
            <span>{conversations[id]?.title}</span>
            {conversations[id]?.live !== undefined && <i className="pulse" aria-label="writing" />}
          </Button>
        </li>
      ))}
      {closed.map(({ id, title, savedAt }) => (
        <li key={id}>
          <Button
            className="conversation-link"
            onPress={() => {
              void chat.reopen(id);
              onDone();
            }}
          >
            <span>{title}</span>
            <small>{formatDay(savedAt, Date.now())}</small>
          </Button>
          <ToolButton label={`Remove ${title}`} onPress={() => void chat.forget(id)}>
            <Trash2 size={14} />
          </ToolButton>
        </li>
      ))}
    </ul>
  );
}
