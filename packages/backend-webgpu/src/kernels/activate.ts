import { elementwise } from './elementwise.js';
import { activationCodes, activationFormulas } from './math.js';
import type { Shader } from './shader.js';

/** out = activation(x); x, out [_, W]. */
export const activateShader = (): Shader =>
  elementwise({
    label: 'activate',
    operands: { x: 'view' },
    fields: { activation: 'u32' },
    expression: 'activate(node.activation, x)',
    formula: ({ activation, x }) => activationFormulas[activationCodes[activation!]!](x!),
    cases: activationCodes.flatMap((name, activation) => (name ? [{ activation }] : [])),
  });
