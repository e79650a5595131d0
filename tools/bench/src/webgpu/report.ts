/** Tables of the `speed` command. */
import { decodeBytes } from '../cpu/model-cost.js';
import { type Column, figure, percent, table } from '../cpu/table.js';
import type { Bandwidth } from './bandwidth.js';
import type { ModelResult, Speed, Subject } from './measure.js';

/** `failure`: instead of everything else, where it could not be measured. */
export type Measured = ModelResult | (Subject & { readonly failure: string });

export function explanation({
  seconds,
  candidates,
}: {
  seconds: number;
  candidates: number;
}): string {
  const kinds =
    candidates === 0
      ? 'Rows: all logits.'
      : `Rows: all logits, or the ${candidates} likeliest tokens, chosen on the device.`;
  return `RWKV-7 models of random weights. ${kinds} Calls and bytes are counted at the device's own interface. Milliseconds: run, from calling it to its return, when the step is submitted; submit, of it in \`GPUQueue.submit\`, where Dawn and the driver work (in a browser another process); encoding, run but submit where a step is not like the last one, so that its commands are not ready yet; rows, from their mapping until the caller has them: of steps that wait for one another, what one in ten takes at most, because other programs and processors' drivers interrupt the thread. JavaScript's work for a step is encoding and rows, of which a steady run does most while the device works. Thread: processor time of JavaScript's thread, on which Dawn in Node also waits; step: until the rows are there. Each for at least ${seconds} s, every step awaited; queued: four under way. Share: bytes of weights, state and one row of the embedding table, which a step must read, over the copy bandwidth.`;
}

export function bandwidthLine({ copy, read, bufferBytes }: Bandwidth): string {
  const [copied, reading] = [copy, read].map((rate) => figure(rate / 1e9));
  return `Bandwidth by shaders over buffers of ${(bufferBytes / 1e6).toFixed(0)} MB: copy ${copied} GB/s (read and written), read ${reading} GB/s.`;
}

const left = (title: string): Column => ({ title, align: 'left' });
const named = [left('model'), left('format'), left('rows')];

export function stepTable(models: readonly Measured[]): string {
  const counted = ['dispatches', 'a layer', 'pipelines', 'bind groups', 'submits', 'bytes up'];
  const times = ['bytes back', 'run ms', 'submit ms', 'encoding ms', 'rows ms', 'thread ms'];
  const titles = [...counted, ...times, 'step ms', 'load s', 'MB', 'bytes left'];
  const rows = models.flatMap((model) => {
    if ('failure' in model) return [[model.shape, model.format, 'failed']];
    const { shape, format, loadSeconds, bufferBytes, bytesLeft } = model;
    return model.steps.map((step) => {
      const { calls, dispatchesPerLayer } = step;
      const counts = [calls.pipelines, calls.bindGroups, calls.submits, calls.uploadedBytes];
      return [
        ...[shape, format, step.rows, String(calls.dispatches), figure(dispatchesPerLayer)],
        ...[...counts, calls.readBytes].map(String),
        ...[step.runMilliseconds, step.submitMilliseconds].map(figure),
        ...[step.encodingMilliseconds, step.rowsMilliseconds].map(figure),
        figure(step.threadMilliseconds),
        ...[figure(step.stepMilliseconds), figure(loadSeconds)],
        ...[(bufferBytes / 1e6).toFixed(0), String(bytesLeft)],
      ];
    });
  });
  return table([...named, ...titles.map((title) => ({ title }))], rows);
}

/** What could not be measured, in words. */
export function failureLines(models: readonly Measured[]): string[] {
  return models.flatMap((model) =>
    'failure' in model ? [`- ${model.shape} ${model.format}: ${model.failure}`] : [],
  );
}

/** Of what one awaited step of a decode test must read; nothing for prompts, which compute more than they read. */
function share(
  { cost }: ModelResult,
  { test, tokens, rate }: Speed,
  bandwidth: Bandwidth | undefined,
): string {
  if (!bandwidth || !test.startsWith('decode')) return '–';
  return percent((decodeBytes(cost, tokens) * (rate / tokens)) / bandwidth.copy);
}

export function speedTable(models: readonly Measured[], bandwidth: Bandwidth | undefined): string {
  const titles = ['tokens/s', 'queued', 'share'];
  const rows = models.flatMap((model) => {
    if ('failure' in model) return [];
    return model.speeds.map((speed) => {
      const { test, rows: kind, rate, queuedRate } = speed;
      const queued = queuedRate === undefined ? '–' : figure(queuedRate);
      const name = [model.shape, model.format, kind, test];
      return [...name, figure(rate), queued, share(model, speed, bandwidth)];
    });
  });
  const columns = titles.map((title) => ({ title }));
  return table([...named, left('test'), ...columns], rows);
}
