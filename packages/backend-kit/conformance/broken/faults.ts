/** The mistakes that authors make, one each, and the group that must notice. */
import type { Batch, Op, OpKind, Rows, States, Value } from '@rwkv-ts/backend';
import { f16ToF32, f32ToF16 } from '@rwkv-ts/formats';
import { isValue, lower, readsOf, writesOf } from '@rwkv-ts/program';
import { Random } from '../../src/random.js';
import { batchOf } from '../batches.js';
import { bytesOf, numbersOf, primitiveKinds } from '../session.js';
import type { ConformanceGroup } from '../types.js';
import { deepMap, readInstead, replaceOps } from './rewrite.js';
import type { Fault } from './wrap.js';

export interface BrokenBackend {
  readonly name: string;
  readonly group: ConformanceGroup;
  /** Cases that are run until one fails. Default: the whole group. */
  readonly cases?: RegExp;
  /** What the failure must say, so that it fails for the right reason. */
  readonly message: RegExp;
  readonly fault: () => Fault;
}

const kernels: readonly BrokenBackend[] = [
  {
    name: 'shift is off by one: a token sees itself',
    group: 'ops',
    cases: /^shift:/,
    message: /^shift, output 0, T = 1: row 0/,
    fault: () => ({
      program: replaceOps('shift', (op, fresh) => [
        { ...op, out: fresh(op.out) },
        { kind: 'scale', out: op.out, x: op.x, factor: 1 },
      ]),
    }),
  },
  {
    name: 'lerp with its ends swapped',
    group: 'ops',
    cases: /^(lerp|shift-mix):/,
    message: /^lerp/,
    fault: () => ({ program: replaceOps('lerp', (op) => [{ ...op, x: op.y, y: op.x }]) }),
  },
  {
    name: 'the wrong epsilon in the per-head norm',
    group: 'ops',
    cases: /^(norm|time-mix)/,
    message: /^norm/,
    fault: () => ({
      program: replaceOps('norm', (op) => [{ ...op, eps: op.groups > 1 ? 1e-5 : op.eps }]),
    }),
  },
  {
    name: 'variance without epsilon’s help: epsilon added twice',
    group: 'ops',
    cases: /^norm:/,
    message: /^norm/,
    fault: () => ({ program: replaceOps('norm', (op) => [{ ...op, eps: 2 * op.eps }]) }),
  },
  {
    name: 'l2-norm divides by length plus epsilon',
    group: 'ops',
    cases: /^l2-norm: length below/,
    message: /^l2-norm/,
    fault: () => ({ program: replaceOps('l2-norm', (op) => [{ ...op, eps: op.eps * 1.01 }]) }),
  },
  {
    name: 'wkv6 decays the state before it is read',
    group: 'ops',
    cases: /^wkv6: three heads of 5/,
    message: /^wkv6, output 0, T = 33/,
    fault: () => ({
      // r (u kᵀv + w S) = wkv6 of r ⊙ w, plus the bonus of what that takes from r.
      program: replaceOps('wkv6', (op, fresh) => {
        const { r, k, v, decay, first, heads, out } = op;
        if (!isValue(decay)) return [op];
        const [rw, minus, rest, past, bonus] = [0, 1, 2, 3, 4].map(() => fresh(out)) as Five;
        return [
          { kind: 'mul', out: rw, x: r, y: decay },
          { ...op, out: past, r: rw },
          { kind: 'scale', out: minus, x: rw, factor: -1 },
          { kind: 'add', out: rest, x: r, y: minus },
          { kind: 'bonus7', out: bonus, r: rest, k, v, by: first, heads },
          { kind: 'add', out, x: past, y: bonus },
        ];
      }),
    }),
  },
  {
    name: 'wkv7 with its removal vectors swapped',
    group: 'ops',
    cases: /^wkv7:/,
    message: /^wkv7, output 0, T = 33/,
    fault: () => ({ program: replaceOps('wkv7', (op) => [{ ...op, a: op.b, b: op.a }]) }),
  },
  {
    name: 'the form of parameters is ignored',
    group: 'ops',
    cases: /form/,
    message: /^(lerp|add|mul|wkv)/,
    fault: () => ({
      program: (program) =>
        deepMap(program, (value) =>
          'weight' in value && 'form' in value ? { weight: value.weight } : undefined,
        ),
    }),
  },
  {
    name: 'a matmul of f16 under a claim of f32',
    group: 'ops',
    cases: /^matmul:/,
    message: /^matmul/,
    fault: () => ({
      run: (right) => async (batch) => (await right(batch)).map((x) => f16ToF32(f32ToF16(x))),
    }),
  },
  {
    name: 'a norm that writes beside its value',
    group: 'ops',
    cases: /^norm:/,
    message: /values beside the op's own/,
    fault: () => ({ program: clobberNeighbour }),
  },
];

type Five = [Value, Value, Value, Value, Value];

/** After every norm, whatever was assigned just before it is changed for all later readers. */
function clobberNeighbour(program: Parameters<NonNullable<Fault['program']>>[0]) {
  let nextId = 10_000;
  const ops: Op[] = [];
  let replaced = new Map<number, { from: Value; to: Value }>();
  let latest: Value | undefined;
  for (const original of program.ops) {
    let op = original;
    for (const { from, to } of replaced.values()) op = readInstead(op, from, to);
    ops.push(op);
    if (op.kind === 'norm' && latest && !readsOf(op).some(({ id }) => id === latest?.id)) {
      const to = { ...latest, id: nextId++ };
      ops.push({ kind: 'scale', out: to, x: latest, factor: 1.5 });
      replaced = new Map([...replaced, [latest.id, { from: latest, to }]]);
    }
    latest = writesOf(op).at(-1);
  }
  return { ...program, ops };
}

/** Without the last token of every sequence longer than 16, whose rows stay zero. */
function dropTail(batch: Batch): { batch: Batch; kept: (row: number) => boolean } {
  const tokens = [...batch.tokens];
  const dropped = new Set<number>();
  const sequences = [...batch.slots].map((slot, s) => {
    const [start, end] = [batch.starts[s]!, batch.starts[s + 1]!];
    if (end - start <= 16) return { slot, tokens: tokens.slice(start, end) };
    dropped.add(end - 1);
    return { slot, tokens: tokens.slice(start, end - 1) };
  });
  const before = (t: number) => [...dropped].filter((gone) => gone < t).length;
  const wanted = [...batch.wanted].filter((t) => !dropped.has(t)).map((t) => t - before(t));
  return { batch: batchOf(sequences, wanted), kept: (row) => !dropped.has(batch.wanted[row]!) };
}

const runs: readonly BrokenBackend[] = [
  {
    name: 'the last token of a long sequence is dropped',
    group: 'ragged',
    cases: /RWKV-4: any split/,
    message: /33 tokens in steps/,
    fault: () => ({
      run: (right) => async (batch) => {
        const short = dropTail(batch);
        const rows = await right(short.batch);
        const width = rows.length / Math.max(1, short.batch.wanted.length);
        const all = new Float32Array(batch.wanted.length * width);
        let from = 0;
        for (let row = 0; row < batch.wanted.length; row++) {
          if (!short.kept(row)) continue;
          all.set(rows.subarray(from, from + width), row * width);
          from += width;
        }
        return all;
      },
    }),
  },
  {
    name: 'tokens after the last wanted row are skipped',
    group: 'ragged',
    cases: /RWKV-4: rows nobody wants/,
    message: /the row after a step without wanted rows/,
    fault: () => ({
      run: (right) => async (batch) => {
        if (batch.wanted.length === 0) return new Float32Array(0);
        return right(batch);
      },
    }),
  },
  {
    name: 'embedding vectors are ignored',
    group: 'ragged',
    cases: /RWKV-7a: embedding/,
    message: /other vectors must give other rows/,
    fault: () => ({
      run:
        (right) =>
        async ({ tokens, starts, slots, wanted }) =>
          right({ tokens, starts, slots, wanted }),
    }),
  },
  {
    name: 'two slots share their memory',
    group: 'state',
    cases: /to the bit$/,
    message: /untouched slot/,
    fault: () => ({
      run: (right, states) => async (batch) => {
        const rows = right(batch);
        for (const slot of batch.slots) if (slot === 2) states.copy(2, 3);
        return rows;
      },
    }),
  },
  {
    name: 'the state of a step is not saved',
    group: 'ragged',
    cases: /RWKV-7: (any split|rows depend)/,
    message: /33 tokens in steps/,
    fault: () => ({
      run: (right, states) => async (batch) => {
        const saved = await Promise.all([...batch.slots].map((slot) => states.read(slot)));
        const rows = await right(batch);
        for (const [s, slot] of batch.slots.entries()) states.write(slot, saved[s]!);
        return rows;
      },
    }),
  },
  {
    name: 'a row is stale after fewer rows are wanted',
    group: 'ragged',
    cases: /RWKV-6: wanted rows/,
    message: /rows \[.*\] of 25/,
    fault: () => ({
      run: (right) => {
        let before: Rows = new Float32Array(0);
        return async (batch) => {
          const rows = await right(batch);
          const stale = before.length > rows.length;
          const result = rows.map((value, n) => (stale && n < 61 ? before[n]! : value));
          before = rows.slice();
          return result;
        };
      },
    }),
  },
  {
    name: 'rows are computed in the order of slots, not of sequences',
    group: 'ragged',
    cases: /RWKV-4: (a batch|the order)/,
    message: /rows of a batch/,
    fault: () => ({
      run: (right) => async (batch) => {
        const sequences = [...batch.slots].map((slot, s) => ({
          slot,
          tokens: [...batch.tokens.subarray(batch.starts[s], batch.starts[s + 1])],
        }));
        sequences.sort((a, b) => a.slot - b.slot);
        return right(batchOf(sequences, [...batch.wanted]));
      },
    }),
  },
  {
    name: 'results differ in their last bits from run to run',
    group: 'ragged',
    cases: /same bits/,
    message: /rows of the same steps run again: element \d+ must be the same to the bit/,
    fault: () => {
      const random = new Random(1, 'noise');
      return {
        run: (right) => async (batch) =>
          (await right(batch)).map((value) => value * (1 + 3e-7 * random.normal())),
      };
    },
  },
  {
    name: 'the caller’s batch is overwritten',
    group: 'lifecycle',
    cases: /only read/,
    message: /batch\.wanted after run/,
    fault: () => ({
      run: (right) => async (batch) => {
        const rows = await right(batch);
        batch.wanted.reverse();
        return rows;
      },
    }),
  },
  {
    name: 'the arrays of a batch are read after the call',
    group: 'lifecycle',
    cases: /arrays of a batch are free/,
    message: /arrays were reused after the call/,
    fault: () => ({
      run: (right) => async (batch) => {
        await Promise.resolve();
        return right(batch);
      },
    }),
  },
  {
    name: 'rows alias the next step’s',
    group: 'lifecycle',
    message: /rows of a step after the next one/,
    fault: () => ({
      run: (right) => {
        const buffer = new Float32Array(1 << 14);
        return async (batch) => {
          const rows = await right(batch);
          buffer.set(rows);
          return buffer.subarray(0, rows.length);
        };
      },
    }),
  },
  {
    name: 'queued runs overtake each other',
    group: 'lifecycle',
    cases: /keep their order/,
    message: /step \d+ of 24 queued|second executable/,
    fault: () => {
      let waiting = 0;
      return {
        run: (right) => async (batch) => {
          const copy = structuredClone(batch);
          // Every other run waits, so that the one after it comes first.
          if (waiting++ % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          return right(copy);
        },
      };
    },
  },
  {
    name: 'a slot twice in a batch is taken as one',
    group: 'errors',
    message: /a slot twice: expected BATCH_INVALID, but it succeeded/,
    fault: () => ({
      run: (right) => async (batch) =>
        right(
          new Set(batch.slots).size < batch.slots.length
            ? { ...batch, slots: Uint32Array.of(0, 1) }
            : batch,
        ),
    }),
  },
  {
    name: 'a batch is refused after its first sequence ran',
    group: 'errors',
    message: /slot 0 after a refused batch/,
    fault: () => ({
      run: (right) => async (batch) => {
        try {
          return await right(batch);
        } catch (error) {
          await right(batchOf([{ slot: 0, tokens: [1] }])).catch(() => undefined);
          throw error;
        }
      },
    }),
  },
  {
    name: 'run throws instead of rejecting',
    group: 'errors',
    message: /expected a rejection, got a synchronous throw/,
    fault: () => ({
      run: (right) => (batch) => {
        if (batch.slots[0] === batch.slots[1] && batch.slots.length > 1)
          throw new Error('slot twice');
        return right(batch);
      },
    }),
  },
];

/** A snapshot with every [N, N] matrix of its wkv states turned over. */
function transpose(bytes: Uint8Array, size: number, shift: number): Uint8Array {
  const numbers = numbersOf(bytes);
  const turned = numbers.slice();
  // The tiny models' layers: a shift, the attention state, the channel mix's shift.
  const layer = 2 * shift + shift * size;
  for (let start = shift; start + shift * size <= numbers.length; start += layer) {
    for (let n = 0; n < shift * size; n++) {
      const [head, row, column] = [
        Math.floor(n / (size * size)),
        Math.floor(n / size) % size,
        n % size,
      ];
      turned[start + n] = numbers[start + (head * size + column) * size + row]!;
    }
  }
  return bytesOf(turned);
}

const states: readonly BrokenBackend[] = [
  {
    name: 'snapshots hold the attention state transposed',
    group: 'state',
    cases: /RWKV-7: snapshots move/,
    message: /the reference’s snapshot, continued/,
    fault: () => ({
      states: (right) => ({
        read: async (slot) => transpose(await right.read(slot), 16, 48),
        write: (slot, bytes) => {
          right.write(slot, transpose(bytes, 16, 48));
        },
      }),
    }),
  },
  {
    name: 'reset writes zeros where v4’s exponent starts at -1e30',
    group: 'state',
    cases: /reset of one slot/,
    message: /the reset slot/,
    fault: () => ({
      states: (right) => ({
        reset: (slot) => {
          right.reset(slot);
          right.read(slot).then(
            () => undefined,
            () => undefined,
          );
          right.write(slot, new Uint8Array(byteLengthOf(right)));
        },
      }),
    }),
  },
  {
    name: 'write keeps the caller’s bytes',
    group: 'state',
    cases: /round trip/,
    message: /slot 0 after write/,
    fault: () => ({
      states: (right) => {
        const kept = new Map<number, Uint8Array>();
        return {
          write: (slot, bytes) => kept.set(slot, bytes),
          read: async (slot) => {
            const bytes = kept.get(slot);
            if (bytes) right.write(slot, bytes);
            return right.read(slot);
          },
        };
      },
    }),
  },
  {
    name: 'copy moves instead of copying',
    group: 'state',
    cases: /copy between slots/,
    message: /after copies/,
    fault: () => ({
      states: (right) => ({
        copy: (from, to) => {
          right.copy(from, to);
          right.reset(from);
        },
      }),
    }),
  },
  {
    name: 'a slot out of range is taken modulo the slots',
    group: 'state',
    cases: /STATE_INVALID/,
    message: /expected STATE_INVALID/,
    fault: () => ({
      states: (right) => ({
        reset: (slot) => {
          right.reset((slot + right.slots) % right.slots);
        },
      }),
    }),
  },
];

/** States of the state group's own specs, whose snapshots all have one length. */
function byteLengthOf({ slots }: States): number {
  return slots > 0 ? 4 * (7 + 15 + 15 + 18 + 1) : 0;
}

const withoutLinear = (ops: ReadonlySet<OpKind>) =>
  new Set([...ops].filter((kind) => kind !== 'linear'));

const claims: readonly BrokenBackend[] = [
  {
    name: 'claims linear, and forgets its activation',
    group: 'ops',
    cases: /^linear:/,
    message: /^linear/,
    fault: () => ({
      supports: (supports) => ({ ...supports, ops: new Set([...supports.ops, 'linear' as const]) }),
      program: (program) => {
        const ops = program.ops.map((op) =>
          op.kind === 'linear' && op.activation ? { ...op, activation: 'tanh' as const } : op,
        );
        return lower({ ...program, ops }, primitiveKinds);
      },
    }),
  },
  {
    name: 'accepts an op that it does not claim',
    group: 'manifest',
    cases: /linear is claimed/,
    message: /compiling linear, which is not claimed: expected UNSUPPORTED_OP, but it succeeded/,
    fault: () => ({
      supports: (supports) => ({ ...supports, ops: withoutLinear(supports.ops) }),
      program: (program) => lower(program, primitiveKinds),
    }),
  },
  {
    name: 'accepts a weight format that it does not claim',
    group: 'manifest',
    cases: /q8_0 is claimed/,
    message:
      /uploading q8_0, which is not claimed: expected UNSUPPORTED_WEIGHT_FORMAT, but it succeeded/,
    fault: () => ({
      supports: (supports) => {
        const weightFormats = [...supports.weightFormats].filter((format) => format !== 'q8_0');
        return { ...supports, weightFormats: new Set(weightFormats) };
      },
    }),
  },
  {
    name: 'claims change after work',
    group: 'manifest',
    cases: /claims stay the same/,
    message: /the claims after work/,
    fault: () => {
      const ops = new Set<OpKind>(['embed', 'select-rows', 'matmul']);
      return {
        supports: (supports) => ({ ...supports, ops }),
        run: (right) => {
          ops.add('add');
          return right;
        },
      };
    },
  },
  ...(['q8_0', 'q4_0', 'q4_k', 'q6_k'] as const).map((format): BrokenBackend => ({
    name: `${format} decoded with a scale 5 % too large`,
    group: 'formats',
    cases: new RegExp(`^${format}: `),
    message: new RegExp(`with ${format}`),
    fault: () => ({ weight: (weight) => (weight.format === format ? scaled(weight) : weight) }),
  })),
];

const scaleField = {
  q8_0: { size: 34, at: 0 },
  q4_0: { size: 18, at: 0 },
  q4_k: { size: 144, at: 0 },
  q6_k: { size: 210, at: 208 },
} as const;

function scaled<Weight extends { readonly format: string; readonly bytes: Uint8Array }>(
  weight: Weight,
): Weight {
  const { size, at } = scaleField[weight.format as keyof typeof scaleField];
  const bytes = weight.bytes.slice();
  const view = new DataView(bytes.buffer);
  for (let start = at; start < bytes.length; start += size) {
    view.setUint16(start, f32ToF16(1.05 * f16ToF32(view.getUint16(start, true))), true);
  }
  return { ...weight, bytes };
}

const handles: readonly BrokenBackend[] = [
  {
    name: 'bytes never return to zero',
    group: 'lifecycle',
    cases: /bytes are counted/,
    message: /bytes after round 0: expected 0, got 64/,
    fault: () => {
      let leaked = 0;
      return { bytes: (count) => count + (count > 0 ? (leaked = 64) : leaked) };
    },
  },
  {
    name: 'a second disposal throws',
    group: 'lifecycle',
    cases: /idempotent/,
    message: /disposing of the backend again/,
    fault: () => {
      let disposed = false;
      return {
        dispose: (right) => async () => {
          if (disposed) throw new Error('double free');
          disposed = true;
          return right();
        },
      };
    },
  },
  {
    name: 'disposing of the backend leaves its handles alive',
    group: 'lifecycle',
    cases: /disposes of its handles/,
    message: /run after disposing of the backend: expected DISPOSED, but it succeeded/,
    fault: () => ({ dispose: () => async () => undefined }),
  },
  {
    name: 'handles of another backend are an error like any other',
    group: 'lifecycle',
    cases: /another backend/,
    message: /compile with another backend's weights: expected TypeError, got Error: foreign/,
    fault: () => ({
      compile:
        (right) =>
        async (...given) => {
          try {
            return await right(...given);
          } catch {
            throw new Error('foreign');
          }
        },
    }),
  },
  {
    name: 'a missing weight is taken as zeros',
    group: 'errors',
    cases: /PROGRAM_INVALID: a missing weight/,
    message: /a missing weight: expected PROGRAM_INVALID, but it succeeded/,
    fault: () => ({
      compile:
        (right) =>
        async (program, ...rest) => {
          try {
            return await right(program, ...rest);
          } catch {
            return {
              bytes: 0,
              run: async () => new Float32Array(0),
              [Symbol.asyncDispose]: async () => undefined,
            };
          }
        },
    }),
  },
  {
    name: 'an error of the source is wrapped',
    group: 'lifecycle',
    cases: /throwing source/,
    message: /must pass the source's own error through/,
    fault: () => ({
      weights: async function* (weights) {
        try {
          yield* weights;
        } catch (cause) {
          throw new Error('upload failed', { cause });
        }
      },
    }),
  },
  {
    name: 'weights of the wrong size are cut to size',
    group: 'errors',
    cases: /WEIGHT_INVALID/,
    message: /too many bytes: expected WEIGHT_INVALID, but it succeeded/,
    fault: () => ({
      weight: (weight) =>
        weight.name === 'w' && weight.bytes.length > 48
          ? { ...weight, bytes: weight.bytes.slice(0, 48) }
          : weight,
    }),
  },
];

export const brokenBackends: readonly BrokenBackend[] = [
  ...kernels,
  ...runs,
  ...states,
  ...claims,
  ...handles,
];
