import { elementwise } from './elementwise.js';
import type { Shader } from './shader.js';

/** out = x ⊙ y; x, out [_, W], y [_, W] or a parameter [W]. */
export const mulShader = (y: 'view' | 'parameter'): Shader =>
  elementwise({
    label: `mul ${y}`,
    operands: { x: 'view', y },
    expression: 'x * y',
    formula: ({ x, y: other }) => x! * other!,
  });
