/** What a launch of a kernel is made of; the kernel itself is native/kernels/ops/<stem>.cuh. */

/**
 * How a field of a kernel's arguments lies. `rows`: address and stride, 16 bytes. `pointer`: an address, 8. `count`: u32.
 * `number`: f32. `matrix`, `prepared`: the structs of native/kernels/matrix.h, 40 and 24 bytes.
 */
export type FieldKind = 'rows' | 'pointer' | 'count' | 'number' | 'matrix' | 'prepared';

/** Fields of a struct in the order of the C++ one, as its compiler places them. */
export type Fields = Readonly<Record<string, FieldKind>>;

export interface Kernel {
  /** Without `rwkv_`. */
  readonly name: string;
  readonly fields: Fields;
  /** An array of structs at the end of the arguments. */
  readonly jobs?: { readonly fields: Fields; readonly most: number };
  /** Of a block; a multiple of 32. */
  readonly threads: number;
  /** Dynamic shared memory of a block, in bytes. */
  readonly sharedBytes: number;
  /** Rows (tokens, wanted rows or sequences) that a block does; blocks for all rows are the grid's x. */
  readonly rowsPerBlock: number;
}

const fieldSizes: {
  readonly [K in FieldKind]: { readonly bytes: number; readonly align: number };
} = {
  rows: { bytes: 16, align: 8 },
  pointer: { bytes: 8, align: 8 },
  count: { bytes: 4, align: 4 },
  number: { bytes: 4, align: 4 },
  matrix: { bytes: 40, align: 8 },
  prepared: { bytes: 24, align: 8 },
};

export interface StructLayout {
  readonly offsets: ReadonlyMap<string, number>;
  readonly bytes: number;
}

/** Offsets as C++ gives them: each field at a multiple of its alignment, the whole a multiple of 8. */
export function layoutOf(fields: Fields): StructLayout {
  const offsets = new Map<string, number>();
  let end = 0;
  for (const [name, kind] of Object.entries(fields)) {
    const { bytes, align } = fieldSizes[kind];
    const offset = Math.ceil(end / align) * align;
    offsets.set(name, offset);
    end = offset + bytes;
  }
  return { offsets, bytes: Math.ceil(end / 8) * 8 };
}

export interface ArgumentsLayout extends StructLayout {
  /** Of one job, and where the first one is. */
  readonly job: StructLayout | undefined;
  readonly jobsAt: number;
}

/** Of all of a kernel's arguments, with room for as many jobs as it can have. */
export function argumentsLayout({ fields, jobs }: Kernel): ArgumentsLayout {
  const { offsets, bytes: jobsAt } = layoutOf(fields);
  const job = jobs && layoutOf(jobs.fields);
  return { offsets, job, jobsAt, bytes: jobsAt + (jobs ? jobs.most * job!.bytes : 0) };
}
