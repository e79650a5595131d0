import { elementwise } from './elementwise.js';
import type { Shader } from './shader.js';

/** out = x + (y - x) ⊙ by; x, y, out [_, W], by [_, W] or a parameter [W]. */
export const lerpShader = (by: 'view' | 'parameter'): Shader =>
  elementwise({
    label: `lerp ${by}`,
    operands: { x: 'view', y: 'view', by },
    expression: 'x + (y - x) * by',
    formula: ({ x, y, by: amount }) => x! + (y! - x!) * amount!,
  });
