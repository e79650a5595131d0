/** What a launch names, found: buffers, parameters, states and weights become addresses. */
import type { Limits, WeightFormat } from '@rwkv-ts/backend';
import type { ParameterArea, PlacedBuffers } from '@rwkv-ts/program';
import { fileFormatCode } from '../kernels/file-formats.js';
import { preparedRow } from '../kernels/prepare.js';
import type { FieldValue, FieldValues, MatrixValue } from './arguments.js';
import { type Argument, type Buffer, rowCount, type Values } from './graph.js';

/** Where the device has everything that a plan names; in bytes. */
export interface Addresses {
  readonly arena: number;
  readonly parameters: number;
  readonly counters: number;
  /** Of slot 0. */
  readonly state: (name: string) => number;
  readonly matrix: (name: string) => MatrixValue;
  /** Rows as the file has them, of so many bytes each. */
  readonly table: (name: string) => {
    readonly format: WeightFormat;
    readonly address: number;
    readonly rowBytes: number;
  };
}

export interface Placement {
  readonly limits: Limits;
  /** In bytes. */
  readonly arena: PlacedBuffers<Buffer>;
  /** In numbers. */
  readonly parameters: ParameterArea;
}

/** Bytes of a buffer, and where a prepared one's scales begin. */
export function sizeOf(buffer: Buffer, limits: Limits) {
  if (buffer.kind === 'scratch') return { bytes: buffer.bytes, scalesAt: 0 };
  const count = rowCount(buffer.rows, limits);
  if (buffer.kind === 'rows') return { bytes: 4 * count * buffer.width, scalesAt: 0 };
  const { valueBytes, scaleBytes } = preparedRow(buffer.form, buffer.width);
  const scalesAt = Math.ceil((count * valueBytes) / 16) * 16;
  return { bytes: scalesAt + count * scaleBytes, scalesAt };
}

export function resolveValues(
  values: Values,
  placement: Placement,
  addresses: Addresses,
): FieldValues {
  const resolve = (argument: Argument): FieldValue => {
    if (argument === undefined || typeof argument === 'number') return argument;
    const { arena, parameters, counters, state, matrix, table } = addresses;
    const addressOf = (buffer: Buffer) => arena + placement.arena.offsets.get(buffer)!;
    if ('view' in argument) {
      const { buffer, column } = argument.view;
      return { address: addressOf(buffer) + 4 * column, stride: buffer.width };
    }
    if ('parameter' in argument) {
      const offset = placement.parameters.offsetOf(argument.parameter);
      return { address: parameters + 4 * offset, stride: 0 };
    }
    if ('prepared' in argument) {
      const { form, width } = argument.prepared;
      const { stride, scaleStride } = preparedRow(form, width);
      const begin = addressOf(argument.prepared);
      const { scalesAt } = sizeOf(argument.prepared, placement.limits);
      return { values: begin, scales: begin + scalesAt, stride, scaleStride };
    }
    if ('matrix' in argument) return matrix(argument.matrix);
    if ('state' in argument) return state(argument.state);
    if ('table' in argument) return table(argument.table).address;
    if ('fileFormatOf' in argument) return fileFormatCode(table(argument.fileFormatOf).format);
    if ('rowBytesOf' in argument) return table(argument.rowBytesOf).rowBytes;
    if ('scratch' in argument) return addressOf(argument.scratch) + argument.offset;
    return counters + argument.counters;
  };
  return Object.fromEntries(
    Object.entries(values).map(([name, argument]) => [name, resolve(argument)]),
  );
}
