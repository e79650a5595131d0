import { elementwise } from './elementwise.js';
import type { Shader } from './shader.js';

/** out = factor · x; x, out [_, W]. */
export const scaleShader = (): Shader =>
  elementwise({
    label: 'scale',
    operands: { x: 'view' },
    fields: { factor: 'f32' },
    expression: 'node.factor * x',
    formula: ({ factor, x }) => factor! * x!,
    cases: [{ factor: -1.5 }],
  });
