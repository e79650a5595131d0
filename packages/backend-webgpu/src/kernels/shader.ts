/**
 * What every kernel is made of: the node's numbers in a uniform, the batch header, one arena of activations, one buffer
 * of parameters, and up to four buffers of the kernel's own (weights, a state), so that the plain tier's eight suffice.
 *
 * Rows of activations lie `stride` numbers apart, their width rounded up to 8, and a kernel writes whole rows: what stands
 * in the columns beyond the width comes from the row itself, so that nothing of one sequence reaches another.
 */
import { stepWords } from '@rwkv-ts/program';
import type { SelfTest } from './self-test.js';

/** `view`: where rows begin, and how far apart they are. `parameter`: where its numbers begin. */
export type FieldKind = 'u32' | 'f32' | 'view' | 'parameter';
export type FieldLayout = Readonly<Record<string, FieldKind>>;

/** One of the kernel's own buffers, in the order of bindings from 4 on. */
export interface Storage {
  readonly name: string;
  readonly access: 'read' | 'write';
  /** The WGSL type of its elements. */
  readonly element: 'f32' | 'u32' | 'vec4f' | 'vec4u';
}

/** How the kernel sees activations and parameters: number by number, or four at a time. */
export type Element = 'f32' | 'vec4f';

export interface Shader {
  /** Shown by debuggers, and in reports about kernels that a device refuses. */
  readonly label: string;
  readonly code: string;
  readonly element: Element;
  readonly fields: FieldLayout;
  readonly storages: readonly Storage['access'][];
  /** A case that a device must get right before the kernel is used on it. */
  readonly test?: () => SelfTest;
}

export interface ShaderParts {
  readonly label: string;
  readonly element: Element;
  /** The WGSL type of the arena's elements, as large as `element`, for a kernel that finds bits in it; default `element`. */
  readonly arena?: 'u32' | 'vec4u';
  readonly fields: FieldLayout;
  readonly storages?: readonly Storage[];
  /** Replaces the struct of single members, for a kernel whose fields repeat; their order stays. */
  readonly node?: string;
  /** Lines before everything else: `enable` and `diagnostic`. */
  readonly directives?: string;
  readonly body: string;
  readonly test?: () => SelfTest;
}

const constants = Object.entries(stepWords)
  .map(([name, word]) => `const header_${snake(name)} = ${word}u;`)
  .join('\n');

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function createShader(parts: ShaderParts): Shader {
  const { label, element, arena = element, fields, storages = [], directives = '', body } = parts;
  const members = Object.entries(fields).flatMap(([name, kind]) => {
    if (kind === 'view') return [`${name}: u32`, `${name}_stride: u32`];
    return [`${name}: ${kind === 'f32' ? 'f32' : 'u32'}`];
  });
  const { node = `struct Node { ${members.join(', ')} }` } = parts;
  const own = storages.map(({ name, access, element: type }, index) => {
    const mode = access === 'write' ? 'read_write' : 'read';
    return `@group(0) @binding(${4 + index}) var<storage, ${mode}> ${name}: array<${type}>;`;
  });
  const code = `${directives}
${node}
@group(0) @binding(0) var<uniform> node: Node;
@group(0) @binding(1) var<storage, read> header: array<u32>;
@group(0) @binding(2) var<storage, read_write> arena: array<${arena}>;
@group(0) @binding(3) var<storage, read> parameters: array<${element}>;
${own.join('\n')}
${constants}
${body}`;
  const { test } = parts;
  const accesses = storages.map(({ access }) => access);
  return { label, code, element, fields, storages: accesses, ...(test ? { test } : {}) };
}

/** A value of each field, in numbers; views and parameters by where they begin in numbers. */
export type FieldValues = Readonly<
  Record<string, number | { readonly offset: number; readonly stride: number }>
>;

/** Writes a node's uniform. */
export function packFields(
  { fields, element, label }: Shader,
  { values, words }: { values: FieldValues; words: Uint32Array },
): void {
  const unit = element === 'vec4f' ? 4 : 1;
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  let at = 0;
  for (const [name, kind] of Object.entries(fields)) {
    const value = values[name] ?? 0;
    if (kind === 'view') {
      const { offset, stride } = typeof value === 'number' ? { offset: 0, stride: 0 } : value;
      words[at++] = offset / unit;
      words[at++] = stride / unit;
    } else if (typeof value !== 'number') {
      words[at++] = value.offset / unit;
    } else if (kind === 'f32') floats[at++] = value;
    else words[at++] = value;
  }
  if (at > words.length)
    throw new Error(`${label} has ${at} words of fields, ${words.length} fit.`);
}

/** The arguments of `main` that most kernels take. */
export const entryArguments = `@builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32`;

/** A dispatch has at most 65,535 groups along a dimension, so rows go over two of them. */
export const rowOfGroup = 'group.y + group.z * groups.y';
