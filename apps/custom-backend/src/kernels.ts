/**
 * The primitives, one kernel each. Compiling an op returns a closure over its buffers; a step calls the closures in
 * order. The table is typed by op kind, so a forgotten primitive does not compile. The recurrences are in recurrences.ts.
 */
import {
  type Batch,
  BackendError,
  type Op,
  type OpKind,
  type Operand,
  type OpOf,
  type Parameter,
  type PrimitiveKind,
  type Value,
} from '@rwkv-ts/backend';
import { activations } from './activations.js';
import { rowsOf } from './executable.js';
import { bonus7, wkv4, wkv6, wkv7 } from './recurrences.js';
import type { StateBlock } from './states.js';

export type Kernel = (batch: Batch) => void;

export interface CompileContext {
  /** [rows, width], rows up to the limits. */
  buffer(value: Value): Float32Array;
  weight(name: string): Float32Array;
  /** The stored numbers with `form` applied. */
  parameter(parameter: Parameter): Float32Array;
  state(name: string): StateBlock;
}

export type Compile<Kind extends PrimitiveKind> = (
  op: OpOf<Kind>,
  context: CompileContext,
) => Kernel;

const embed: Compile<'embed'> = ({ out, table, by }, context) => {
  const [y, rows, width] = [context.buffer(out), context.weight(table), out.width];
  return ({ tokens, embeddings }) => {
    for (let t = 0; t < tokens.length; t++) {
      y.set(rows.subarray(tokens[t]! * width, (tokens[t]! + 1) * width), t * width);
    }
    if (by === 'token' || !embeddings) return;
    const { at, vectors } = embeddings;
    for (let e = 0; e < at.length; e++) {
      y.set(vectors.subarray(e * width, (e + 1) * width), at[e]! * width);
    }
  };
};

const selectRows: Compile<'select-rows'> = ({ out, x }, context) => {
  const [y, source, width] = [context.buffer(out), context.buffer(x), out.width];
  return ({ wanted }) => {
    for (let r = 0; r < wanted.length; r++) {
      y.set(source.subarray(wanted[r]! * width, (wanted[r]! + 1) * width), r * width);
    }
  };
};

const norm: Compile<'norm'> = ({ out, x, weight, bias, groups, eps }, context) => {
  const [y, source, width] = [context.buffer(out), context.buffer(x), out.width];
  const [gain, offset, size] = [context.weight(weight), context.weight(bias), width / groups];
  return (batch) => {
    for (let start = 0; start < rowsOf(out, batch) * width; start += size) {
      let mean = 0;
      for (let n = 0; n < size; n++) mean += source[start + n]! / size;
      // Two passes: the difference of E[x²] and E[x]² cancels in f32 when the mean is large.
      let variance = 0;
      for (let n = 0; n < size; n++) variance += (source[start + n]! - mean) ** 2 / size;
      const inverse = 1 / Math.sqrt(variance + eps);
      for (let n = 0; n < size; n++) {
        const c = (start + n) % width;
        y[start + n] = (source[start + n]! - mean) * inverse * gain[c]! + offset[c]!;
      }
    }
  };
};

const l2Norm: Compile<'l2-norm'> = ({ out, x, groups, eps }, context) => {
  const [y, source, size] = [context.buffer(out), context.buffer(x), out.width / groups];
  return (batch) => {
    for (let start = 0; start < rowsOf(out, batch) * out.width; start += size) {
      let sum = 0;
      for (let n = 0; n < size; n++) sum += source[start + n]! ** 2;
      const inverse = 1 / Math.max(Math.sqrt(sum), eps);
      for (let n = 0; n < size; n++) y[start + n] = source[start + n]! * inverse;
    }
  };
};

const shift: Compile<'shift'> = ({ out, x, state }, context) => {
  const [y, source, width] = [context.buffer(out), context.buffer(x), out.width];
  const { data } = context.state(state);
  return ({ starts, slots }) => {
    for (let s = 0; s < slots.length; s++) {
      const [from, to, last] = [starts[s]! * width, starts[s + 1]! * width, slots[s]! * width];
      y.set(data.subarray(last, last + width), from);
      y.set(source.subarray(from, to - width), from + width);
      data.set(source.subarray(to - width, to), last);
    }
  };
};

const matmul: Compile<'matmul'> = ({ out, x, weight }, context) => {
  const [y, source, matrix] = [context.buffer(out), context.buffer(x), context.weight(weight)];
  const [inputs, outputs] = [x.width, out.width];
  return (batch) => {
    for (let row = 0; row < rowsOf(out, batch); row++) {
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) sum += source[row * inputs + i]! * matrix[o * inputs + i]!;
        y[row * outputs + o] = sum;
      }
    }
  };
};

const rowMatmul: Compile<'row-matmul'> = ({ out, x, m }, context) => {
  const [y, source, matrices] = [context.buffer(out), context.buffer(x), context.buffer(m)];
  const [inputs, outputs] = [x.width, out.width];
  return (batch) => {
    for (let row = 0; row < rowsOf(out, batch); row++) {
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) {
          sum += source[row * inputs + i]! * matrices[(row * inputs + i) * outputs + o]!;
        }
        y[row * outputs + o] = sum;
      }
    }
  };
};

const slice: Compile<'slice'> = ({ out, x, start }, context) => {
  const [y, source] = [context.buffer(out), context.buffer(x)];
  return (batch) => {
    for (let row = 0; row < rowsOf(out, batch); row++) {
      const from = row * x.width + start;
      y.set(source.subarray(from, from + out.width), row * out.width);
    }
  };
};

/** A value is indexed by row and column, a parameter by column alone. */
function operand(of: Operand, context: CompileContext): { data: Float32Array; stride: number } {
  if ('id' in of) return { data: context.buffer(of), stride: of.width };
  return { data: context.parameter(of), stride: 0 };
}

/** out = f(x, y) element by element. */
function pairwise(f: (x: number, y: number) => number) {
  return (op: { out: Value; x: Value; y: Operand }, context: CompileContext): Kernel => {
    const [out, x, width] = [context.buffer(op.out), context.buffer(op.x), op.out.width];
    const y = operand(op.y, context);
    return (batch) => {
      for (let row = 0; row < rowsOf(op.out, batch); row++) {
        for (let c = 0; c < width; c++) {
          out[row * width + c] = f(x[row * width + c]!, y.data[row * y.stride + c]!);
        }
      }
    };
  };
}

/** out = f(x) element by element. */
function elementwise(
  f: (x: number) => number,
  op: { out: Value; x: Value },
  context: CompileContext,
): Kernel {
  const [out, x] = [context.buffer(op.out), context.buffer(op.x)];
  return (batch) => {
    for (let i = 0; i < rowsOf(op.out, batch) * op.out.width; i++) out[i] = f(x[i]!);
  };
}

const lerp: Compile<'lerp'> = ({ out, x, y, by }, context) => {
  const [target, from, to, width] = [
    context.buffer(out),
    context.buffer(x),
    context.buffer(y),
    out.width,
  ];
  const amount = operand(by, context);
  return (batch) => {
    for (let row = 0; row < rowsOf(out, batch); row++) {
      for (let c = 0; c < width; c++) {
        const i = row * width + c;
        target[i] = from[i]! + (to[i]! - from[i]!) * amount.data[row * amount.stride + c]!;
      }
    }
  };
};

/** All primitives but `top-k`, which no program needs. */
type OwnKind = Exclude<PrimitiveKind, 'top-k'>;

export const kernels: { readonly [Kind in OwnKind]: Compile<Kind> } = {
  embed,
  'select-rows': selectRows,
  norm,
  'l2-norm': l2Norm,
  shift,
  lerp,
  matmul,
  'row-matmul': rowMatmul,
  add: pairwise((x, y) => x + y),
  mul: pairwise((x, y) => x * y),
  scale: (op, context) => elementwise((x) => x * op.factor, op, context),
  activate: (op, context) => elementwise(activations[op.activation], op, context),
  slice,
  wkv4,
  wkv6,
  wkv7,
  bonus7,
};

/** @throws BackendError `UNSUPPORTED_OP` */
export function requireKernel(kind: OpKind): asserts kind is OwnKind {
  if (Object.hasOwn(kernels, kind)) return;
  throw new BackendError({
    code: 'UNSUPPORTED_OP',
    message: `This backend has no kernel for ${kind}; pass the program through lower() first.`,
    expected: Object.keys(kernels),
    got: kind,
  });
}

export function compileOp(op: Op, context: CompileContext): Kernel {
  requireKernel(op.kind);
  return (kernels[op.kind] as (op: Op, context: CompileContext) => Kernel)(op, context);
}
