import { elementwise } from './elementwise.js';
import type { Shader } from './shader.js';

/** out[r] = x[wanted[r]]; x [T, W], out [R, W]. */
export const selectRowsShader = (): Shader =>
  elementwise({
    label: 'select-rows',
    operands: { x: 'view' },
    source: 'header[header[header_wanted_at] + row]',
    expression: 'x',
    formula: ({ x }) => x!,
  });
