import { Cpu, TriangleAlert } from 'lucide-react';
import { Button, Label, ProgressBar } from 'react-aria-components';
import type { LoadPhase, LoadProgress, ModelInfo } from '../protocol/messages.js';
import type { ModelStatus } from '../store/types.js';
import { useApp } from './app-context.js';
import { FailureCard } from './failure-card.js';
import { formatBytes, formatCount } from '../format.js';

const phases: Readonly<Record<LoadPhase, string>> = {
  start: 'Opening',
  wait: 'Another tab is downloading this model; waiting for it',
  check: 'Checking what is here already',
  download: 'Downloading',
  open: 'Reading headers',
  upload: 'Bringing weights to the device',
  compile: 'Preparing the device',
  finish: 'Almost ready: the device is finishing',
};

/** What stands in for conversations while there is no model. */
export function ModelStage({
  status,
  onChoose,
}: {
  readonly status: Exclude<ModelStatus, { kind: 'ready' }>;
  readonly onChoose: () => void;
}) {
  const { models } = useApp();
  if (status.kind === 'loading') {
    return (
      <div className="stage">
        <LoadingBar progress={status.progress} />
        <Button className="button" onPress={() => void models.cancel()}>
          Stop
        </Button>
      </div>
    );
  }
  const { failure, request } = status;
  const isBundled = request?.source.kind === 'bundled';
  return (
    <div className="stage">
      <FailureCard failure={failure}>
        <Button className="button primary" onPress={() => void models.again()}>
          Try again
        </Button>
        <Button className="button" onPress={onChoose}>
          Choose another model
        </Button>
        {!isBundled && (
          <Button
            className="button"
            onPress={() => void models.load({ source: { kind: 'bundled' } })}
          >
            Use the small model of this page
          </Button>
        )}
      </FailureCard>
    </div>
  );
}

function LoadingBar({ progress: { phase, done, total } }: { readonly progress: LoadProgress }) {
  const known = total > 0;
  const amount =
    phase === 'compile'
      ? `${done} of ${total} programs`
      : `${formatBytes(done)} of ${formatBytes(total)}`;
  return (
    <ProgressBar
      className="progress"
      value={known ? (100 * done) / total : 0}
      isIndeterminate={!known}
    >
      {({ percentage }) => (
        <>
          <Label>{phases[phase]}</Label>
          <span className="amount">{known ? amount : ''}</span>
          <div className="progress-track" data-indeterminate={!known}>
            <div className="progress-fill" style={known ? { width: `${percentage ?? 0}%` } : {}} />
          </div>
        </>
      )}
    </ProgressBar>
  );
}

export function ModelCard({ info }: { readonly info: ModelInfo }) {
  const { name, version, layers, channels, deviceBytes, backend, slowBecause } = info;
  return (
    <div className="model-card">
      <p className="model-name">{name}</p>
      <dl>
        <dt>Model</dt>
        <dd>
          RWKV v{version}, {layers} layers of {formatCount(channels)}
        </dd>
        <dt>On the device</dt>
        <dd>{formatBytes(deviceBytes)}</dd>
        <dt>Computed by</dt>
        <dd title={backend}>{backend}</dd>
      </dl>
      {slowBecause !== undefined && (
        <div className="slow-notice">
          <TriangleAlert size={15} aria-hidden />
          <div>
            <p>
              No GPU can be used here, so this is <strong>slow</strong>. Use a current Chrome, Edge,
              Firefox or Safari with hardware acceleration.
            </p>
            <details>
              <summary>Details</summary>
              <p>{slowBecause}</p>
            </details>
          </div>
        </div>
      )}
      {info.notes.map((note) => (
        <p key={note} className="hint">
          <Cpu size={13} aria-hidden /> {note}
        </p>
      ))}
    </div>
  );
}
