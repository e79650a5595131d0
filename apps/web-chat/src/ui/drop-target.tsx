/** The whole page takes files: a model, or a saved conversation. */
import type { ReactNode } from 'react';
import { DropZone, type DropItem } from 'react-aria-components';
import { failureOf } from '../store/chat-actions.js';
import { useApp } from './app-context.js';

export function DropTarget({ children }: { readonly children: ReactNode }) {
  const { chat, models } = useApp();
  const take = async (items: readonly DropItem[]): Promise<void> => {
    const files: File[] = [];
    for (const item of items) if (item.kind === 'file') files.push(await item.getFile());
    const vocabulary = files.find(({ name }) => /\.(txt|rwkvtok)$/i.test(name));
    const file = files.find((one) => one !== vocabulary);
    if (file === undefined) {
      chat.notice('Drop a model file here, or a saved conversation.');
      return;
    }
    if (!file.name.endsWith('.rwkv-chat')) {
      await models.load({ source: { kind: 'file', file }, ...(vocabulary && { vocabulary }) });
      return;
    }
    try {
      await chat.openFile(file);
    } catch (error) {
      const { title, advice } = failureOf(error);
      chat.notice(`${title}. ${advice}`);
    }
  };
  return (
    <DropZone
      className="drop-target"
      aria-label="Drop a model or a saved conversation here"
      getDropOperation={() => 'copy'}
      onDrop={({ items }) => void take(items)}
    >
      {children}
    </DropZone>
  );
}
