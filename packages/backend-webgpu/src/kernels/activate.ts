import { elementwise } from './elementwise.js';
import type { Shader } from './shader.js';

/** out = activation(x); x, out [_, W]. */
export const activateShader = (): Shader =>
  elementwise({
    label: 'activate',
    operands: { x: 'view' },
    fields: { activation: 'u32' },
    expression: 'activate(node.activation, x)',
  });
