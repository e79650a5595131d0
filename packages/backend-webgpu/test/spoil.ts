import { expect } from 'vitest';
import type { Shader } from '../src/kernels/shader.js';

/** The shader with a mistake that compiles. */
export function spoil(shader: Shader, right: string, wrong: string): Shader {
  expect(shader.code).toContain(right);
  return {
    ...shader,
    label: `spoiled ${shader.label}`,
    code: shader.code.replaceAll(right, wrong),
  };
}
