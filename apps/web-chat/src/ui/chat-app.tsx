import { Menu, Plus, X } from 'lucide-react';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useApp, useAppState } from './app-context.js';
import { ChooseModel } from './choose-model.js';
import { ConversationPane } from './conversation-pane.js';
import { Panel } from './dialogs.js';
import { DropTarget } from './drop-target.js';
import { ModelStage } from './model-status.js';
import { Sidebar } from './sidebar.js';
import { StoragePanel } from './storage-panel.js';
import { ToolButton } from './tool-button.js';
import { UpdateNotice } from './update-notice.js';

export function ChatApp() {
  const [choosing, setChoosing] = useState(false);
  const [storageOpen, setStorageOpen] = useState(false);
  const [menuOpen, setMenuOpen] = useState(false);
  const choose = (): void => {
    setChoosing(true);
  };
  const showStorage = (): void => {
    setStorageOpen(true);
  };
  return (
    <DropTarget>
      <div className="app">
        <aside className="side" aria-label="Model and conversations">
          <Sidebar onChoose={choose} onStorage={showStorage} />
        </aside>
        <main>
          <TopBar
            onMenu={() => {
              setMenuOpen(true);
            }}
          />
          <Stage onChoose={choose} />
        </main>
      </div>
      <Panel title="Menu" side="left" open={menuOpen} onOpenChange={setMenuOpen}>
        <Sidebar
          onChoose={choose}
          onStorage={showStorage}
          onDone={() => {
            setMenuOpen(false);
          }}
        />
      </Panel>
      <ChooseModel open={choosing} onOpenChange={setChoosing} />
      <StoragePanel open={storageOpen} onOpenChange={setStorageOpen} />
      <Notices />
      <Announcer />
    </DropTarget>
  );
}

/** On narrow screens: the menu, and tabs in place of panes side by side. */
function TopBar({ onMenu }: { readonly onMenu: () => void }) {
  const { chat } = useApp();
  const panes = useAppState((state) => state.panes);
  const focused = useAppState((state) => state.focused);
  const conversations = useAppState((state) => state.conversations);
  return (
    <div className="top-bar">
      <ToolButton label="Menu" onPress={onMenu}>
        <Menu size={19} />
      </ToolButton>
      <div className="pane-tabs" role="group" aria-label="Open conversations">
        {panes.length > 1 &&
          panes.map((id) => (
            <Button
              key={id}
              className="pane-tab"
              aria-pressed={focused === id}
              onPress={() => {
                chat.focus(id);
              }}
            >
              {conversations[id]?.title}
            </Button>
          ))}
      </div>
      <ToolButton label="New conversation" onPress={() => void chat.start()}>
        <Plus size={19} />
      </ToolButton>
    </div>
  );
}

function Stage({ onChoose }: { readonly onChoose: () => void }) {
  const { chat } = useApp();
  const model = useAppState((state) => state.model);
  const panes = useAppState((state) => state.panes);
  if (model.kind !== 'ready') return <ModelStage status={model} onChoose={onChoose} />;
  if (panes.length === 0) {
    return (
      <div className="stage">
        <Button className="button primary" onPress={() => void chat.start()}>
          New conversation
        </Button>
      </div>
    );
  }
  return (
    <div className="panes" data-count={panes.length}>
      {panes.map((id) => (
        <ConversationPane key={id} id={id} info={model.info} />
      ))}
    </div>
  );
}

function Notices() {
  const { chat } = useApp();
  const notices = useAppState((state) => state.notices);
  return (
    <div className="notices" role="status">
      <UpdateNotice />
      {notices.map(({ id, message }) => (
        <div key={id} className="notice">
          <p>{message}</p>
          <ToolButton
            label="Dismiss"
            onPress={() => {
              chat.dismiss(id);
            }}
          >
            <X size={15} />
          </ToolButton>
        </div>
      ))}
    </div>
  );
}

/** For screen readers: that writing began and how it ended, with the answer; never token by token. */
function Announcer() {
  const announcement = useAppState((state) => state.announcement);
  return (
    <div className="visually-hidden" aria-live="polite" aria-atomic="true">
      {announcement}
    </div>
  );
}
