/**
 * The three attention recurrences and v7's bonus. Each walks the sequences of a step, and within one the tokens in
 * order; the state of a sequence is the block of its slot. Formulas and layouts are those of the op's type.
 */
import type { Parameter } from '@rwkv-ts/backend';
import type { Compile, CompileContext } from './kernels.js';
import { rowsOf } from './executable.js';

export const wkv4: Compile<'wkv4'> = (op, context) => {
  const [out, k, v] = [context.buffer(op.out), context.buffer(op.k), context.buffer(op.v)];
  const [decay, first] = [context.parameter(op.decay), context.parameter(op.first)];
  const [{ data, size }, width] = [context.state(op.state), op.out.width];
  const token = (at: number, slot: number) => {
    for (let c = 0; c < width; c++) {
      const [ia, ib, ip] = [slot + c, slot + width + c, slot + 2 * width + c];
      const [key, value, a, b, p] = [k[at + c]!, v[at + c]!, data[ia]!, data[ib]!, data[ip]!];
      const bonus = first[c]! + key;
      const q = Math.max(p, bonus);
      const [past, now] = [Math.exp(p - q), Math.exp(bonus - q)];
      out[at + c] = (past * a + now * value) / (past * b + now);
      const next = Math.max(p + decay[c]!, key);
      const [kept, added] = [Math.exp(p + decay[c]! - next), Math.exp(key - next)];
      data[ia] = kept * a + added * value;
      data[ib] = kept * b + added;
      data[ip] = next;
    }
  };
  return ({ starts, slots }) => {
    for (let s = 0; s < slots.length; s++) {
      for (let t = starts[s]!; t < starts[s + 1]!; t++) token(t * width, slots[s]! * size);
    }
  };
};

/** [H] is one number for all channels of a head, [H, N] one for each: both as [C]. */
function perChannel(parameter: Parameter, width: number, context: CompileContext): Float32Array {
  const data = context.parameter(parameter);
  return Float32Array.from(
    { length: width },
    (_, c) => data[Math.floor((c * data.length) / width)]!,
  );
}

export const wkv6: Compile<'wkv6'> = (op, context) => {
  const [out, r, k, v] = [op.out, op.r, op.k, op.v].map((value) => context.buffer(value)) as Four;
  const [{ data, size }, width, n] = [
    context.state(op.state),
    op.out.width,
    op.out.width / op.heads,
  ];
  const first = perChannel(op.first, width, context);
  const [decay, stride] =
    'id' in op.decay
      ? [context.buffer(op.decay), width]
      : [perChannel(op.decay, width, context), 0];
  /** State row i of a head belongs to key channel i, column j to value channel j. */
  const token = (t: number, slot: number) => {
    out.fill(0, t * width, (t + 1) * width);
    for (let c = 0; c < width; c++) {
      const [head, i] = [c - (c % n), t * width + c];
      const [key, query, kept] = [k[i]!, r[i]!, decay[t * stride + c]!];
      for (let j = 0; j < n; j++) {
        const [at, write] = [t * width + head + j, slot + c * n + j];
        const outer = key * v[at]!;
        // The token sees itself through `first`, and the past before this step's decay.
        out[at] = out[at]! + query * (first[c]! * outer + data[write]!);
        data[write] = outer + kept * data[write]!;
      }
    }
  };
  return ({ starts, slots }) => {
    for (let s = 0; s < slots.length; s++) {
      for (let t = starts[s]!; t < starts[s + 1]!; t++) token(t, slots[s]! * size);
    }
  };
};

type Four = [Float32Array, Float32Array, Float32Array, Float32Array];

export const wkv7: Compile<'wkv7'> = (op, context) => {
  const [out, r, k, v] = [op.out, op.r, op.k, op.v].map((value) => context.buffer(value)) as Four;
  const [w, a, b] = [context.buffer(op.w), context.buffer(op.a), context.buffer(op.b)];
  const [{ data, size }, width, n] = [
    context.state(op.state),
    op.out.width,
    op.out.width / op.heads,
  ];
  /** State row i of a head belongs to value channel i, column j to key channel j. */
  const token = (t: number, slot: number) => {
    for (let c = 0; c < width; c++) {
      const [row, head] = [slot + c * n, t * width + c - (c % n)];
      let removed = 0;
      for (let j = 0; j < n; j++) removed += data[row + j]! * a[head + j]!;
      let sum = 0;
      for (let j = 0; j < n; j++) {
        const kept = data[row + j]! * w[head + j]! + removed * b[head + j]!;
        data[row + j] = kept + v[t * width + c]! * k[head + j]!;
        sum += data[row + j]! * r[head + j]!;
      }
      out[t * width + c] = sum;
    }
  };
  return ({ starts, slots }) => {
    for (let s = 0; s < slots.length; s++) {
      for (let t = starts[s]!; t < starts[s + 1]!; t++) token(t, slots[s]! * size);
    }
  };
};

export const bonus7: Compile<'bonus7'> = (op, context) => {
  const [out, r, k, v] = [op.out, op.r, op.k, op.v].map((value) => context.buffer(value)) as Four;
  const [by, width, n] = [context.parameter(op.by), op.out.width, op.out.width / op.heads];
  return (batch) => {
    for (let start = 0; start < rowsOf(op.out, batch) * width; start += n) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += r[start + j]! * k[start + j]! * by[(start % width) + j]!;
      for (let j = 0; j < n; j++) out[start + j] = sum * v[start + j]!;
    }
  };
};
