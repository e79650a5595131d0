import { X } from 'lucide-react';
import type { ReactNode } from 'react';
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import { ToolButton } from './tool-button.js';

/** A panel over the page: in the middle, or from a side. */
export function Panel({
  title,
  open,
  onOpenChange,
  side = 'middle',
  children,
}: {
  readonly title: string;
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
  readonly side?: 'middle' | 'left' | 'right';
  readonly children: ReactNode;
}) {
  return (
    <ModalOverlay className="overlay" isOpen={open} onOpenChange={onOpenChange} isDismissable>
      <Modal className={`modal ${side}`}>
        <Dialog className="dialog">
          <header className="dialog-header">
            <Heading slot="title">{title}</Heading>
            <ToolButton
              label="Close"
              onPress={() => {
                onOpenChange(false);
              }}
            >
              <X size={18} />
            </ToolButton>
          </header>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
