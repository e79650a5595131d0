/** What this browser keeps: models and conversations. */
import { Trash2 } from 'lucide-react';
import { useEffect } from 'react';
import { Button, Label, Meter } from 'react-aria-components';
import type { StoredModel } from '../protocol/messages.js';
import { useApp, useAppState } from './app-context.js';
import { ConfirmButton } from './confirm-button.js';
import { Panel } from './dialogs.js';
import { formatBytes } from '../format.js';
import { ToolButton } from './tool-button.js';

const states = { verified: '', partial: 'stopped half-way', damaged: 'damaged' } as const;

export function StoragePanel({
  open,
  onOpenChange,
}: {
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
}) {
  const { models, chat } = useApp();
  const report = useAppState(({ storage }) => storage);
  const kept = useAppState((state) => state.kept);
  useEffect(() => {
    if (open) void models.refreshStorage();
  }, [open, models]);
  const { used = 0, quota } = report?.usage ?? {};
  const load = (model: StoredModel): void => {
    onOpenChange(false);
    const offline = model.state === 'verified' && !navigator.onLine;
    const source = { kind: 'reference', reference: model.reference, offline } as const;
    void models.load({ source });
  };
  return (
    <Panel title="Storage" open={open} onOpenChange={onOpenChange}>
      <div className="storage">
        {report?.why !== undefined && <p className="hint">{report.why}</p>}
        {quota !== undefined && (
          <Meter className="progress" value={used} maxValue={quota}>
            <Label>Models in this browser</Label>
            <span className="amount">
              {formatBytes(used)} of {formatBytes(quota)}
            </span>
            <div className="progress-track">
              <div
                className="progress-fill"
                style={{ width: `${Math.min(100, (100 * used) / quota)}%` }}
              />
            </div>
          </Meter>
        )}
        {report?.models.length === 0 && (
          <p className="hint">No models yet. Those from the hub or a URL are kept here.</p>
        )}
        <ul className="stored">
          {report?.models.map((model) => (
            <li key={model.id}>
              <div>
                <p className="stored-name">{model.name}</p>
                <p className="hint">
                  {model.state === 'partial'
                    ? `${formatBytes(model.received)} of ${formatBytes(model.size)}, `
                    : formatBytes(model.received)}
                  {model.state === 'damaged' ? ', ' : ''}
                  {states[model.state]}
                </p>
              </div>
              <Button
                className="button"
                onPress={() => {
                  load(model);
                }}
              >
                {model.state === 'partial' ? 'Go on' : 'Load'}
              </Button>
              <ToolButton
                label={`Remove ${model.name}`}
                onPress={() => void models.removeStored(model.id)}
              >
                <Trash2 size={16} />
              </ToolButton>
            </li>
          ))}
        </ul>
        <div className="button-row">
          <ConfirmButton
            label="Remove all models"
            isDisabled={(report?.models.length ?? 0) === 0}
            onConfirm={() => void models.clearStored()}
          />
          <ConfirmButton
            label="Remove all conversations"
            isDisabled={kept.length === 0}
            onConfirm={() => void chat.forgetAll()}
          />
        </div>
      </div>
    </Panel>
  );
}
