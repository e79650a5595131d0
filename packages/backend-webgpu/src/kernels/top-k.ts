/**
 * The largest numbers of a row, their columns, and Σ exp(x - largest), in two kernels: `top-k` sorts chunks of a row and
 * leaves a list of the largest of each; `top-k-merge` makes one list of up to eight, until one is left.
 *
 * A list of K = 2^n is K numbers, K columns (as floats, exact below 2^24), then its largest number and the sum relative to
 * that, or -1 where a number is NaN or +Infinity. Numbers are compared as whole numbers in the order of the floats, so
 * that nothing depends on what a device makes of infinities.
 */
import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';
import { workgroupSum } from './reduce.js';
import { topKMergeSelfTest, topKSelfTest } from './top-k.self-test.js';

/** Columns that a group sorts, and the most numbers that a list holds. */
export const topKChunk = 1024;
/** Lists that a group of `top-k-merge` makes one of. */
export const topKFan = 8;
const lanes = 256;

/** The length of lists that hold `count`. */
export const topKLength = (count: number): number => 2 ** Math.ceil(Math.log2(count));
/** Numbers of a list with its sum, as rows are padded. */
export const topKListWidth = (length: number): number => Math.ceil((2 * length + 2) / 8) * 8;

const ordering = (length: number) => `
const infinity_order = 0xff800000u;
const minus_infinity_order = 0x007fffffu;
var<workgroup> orders: array<u32, ${length}>;
var<workgroup> columns: array<u32, ${length}>;

fn order_of(number: f32) -> u32 {
  let bits = bitcast<u32>(number);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  if (bits == 0x80000000u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
}
fn number_of(order: u32) -> f32 {
  return bitcast<f32>(select(~order, order ^ 0x80000000u, order >= 0x80000000u));
}
fn comes_first(order: u32, column: u32, other: u32) -> bool {
  return order > orders[other] || (order == orders[other] && column < columns[other]);
}
/** Puts the larger first, or last. */
fn arrange(first: u32, second: u32, descending: bool) {
  let order = orders[second];
  let column = columns[second];
  if (comes_first(order, column, first) != descending) { return; }
  orders[second] = orders[first];
  columns[second] = columns[first];
  orders[first] = order;
  columns[first] = column;
}`;

/** A step of a bitonic network over `length` numbers: pairs that are `gap` apart. */
const step = (length: number, descending: string) => `
    for (var pair = lane; pair < ${length >> 1}u; pair += ${lanes}u) {
      let low = 2u * gap * (pair / gap) + pair % gap;
      arrange(low, low + gap, ${descending});
    }
    workgroupBarrier();`;

/** A group makes the list of one chunk of one row. */
export const topKShader = (length: number): Shader =>
  createShader({
    test: () => topKSelfTest(length),
    label: 'top-k',
    element: 'f32',
    fields: { rows: 'u32', width: 'u32', x: 'view', out: 'view' },
    body: `${workgroupSum(lanes)}${ordering(topKChunk)}
/** exp(number - most) of a number that is no NaN. */
fn weight_of(order: u32, most: f32) -> f32 {
  if (order <= minus_infinity_order) { return 0.0; }
  return exp(number_of(order) - most);
}
@compute @workgroup_size(${lanes})
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  if (row >= header[node.rows]) { return; }
  let x = node.x + row * node.x_stride;
  let begin = group.x * ${topKChunk}u;
  for (var i = lane; i < ${topKChunk}u; i += ${lanes}u) {
    let column = begin + i;
    var order = minus_infinity_order;
    if (column < node.width) { order = order_of(arena[x + column]); }
    orders[i] = order;
    columns[i] = column;
  }
  workgroupBarrier();
  for (var size = 2u; size <= ${topKChunk}u; size <<= 1u) {
    for (var gap = size >> 1u; gap > 0u; gap >>= 1u) {${step(topKChunk, '(low & size) == 0u')}
    }
  }
  let largest = orders[0];
  let most = number_of(largest);
  var sum = 0.0;
  if (largest < infinity_order) {
    for (var i = lane; i < ${topKChunk}u; i += ${lanes}u) { sum += weight_of(orders[i], most); }
  }
  let total = workgroup_sum(lane, sum);
  let out = node.out + row * node.out_stride + group.x * ${topKListWidth(length)}u;
  for (var i = lane; i < ${length}u; i += ${lanes}u) {
    arena[out + i] = number_of(orders[i]);
    arena[out + ${length}u + i] = f32(columns[i]);
  }
  if (lane == 0u) {
    arena[out + ${2 * length}u] = most;
    arena[out + ${2 * length + 1}u] = select(total, -1.0, largest >= infinity_order);
  }
}`,
  });

/**
 * A group makes one list of the next eight of `lists`; where it makes the last one, it writes that as rows of
 * `count` numbers, as many columns and the sum.
 */
export const topKMergeShader = (length: number): Shader => {
  const list = topKListWidth(length);
  return createShader({
    test: () => topKMergeSelfTest(length),
    label: 'top-k-merge',
    element: 'f32',
    fields: { rows: 'u32', lists: 'u32', count: 'u32', x: 'view', out: 'view' },
    body: `${ordering(length)}
@compute @workgroup_size(${lanes})
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  if (row >= header[node.rows]) { return; }
  let x = node.x + row * node.x_stride;
  let begin = group.x * ${topKFan}u;
  let end = min(begin + ${topKFan}u, node.lists);
  var at = x + begin * ${list}u;
  for (var i = lane; i < ${length}u; i += ${lanes}u) {
    orders[i] = order_of(arena[at + i]);
    columns[i] = u32(arena[at + ${length}u + i]);
  }
  workgroupBarrier();
  var most = arena[at + ${2 * length}u];
  var sum = arena[at + ${2 * length + 1}u];
  for (var next = begin + 1u; next < end; next++) {
    at += ${list}u;
    // One list forwards and the other backwards: the larger of each pair are the largest of both.
    for (var i = lane; i < ${length}u; i += ${lanes}u) {
      let order = order_of(arena[at + ${length - 1}u - i]);
      let column = u32(arena[at + ${2 * length - 1}u - i]);
      if (comes_first(order, column, i)) {
        orders[i] = order;
        columns[i] = column;
      }
    }
    workgroupBarrier();
    for (var gap = ${length >> 1}u; gap > 0u; gap >>= 1u) {${step(length, 'true')}
    }
    let other = arena[at + ${2 * length}u];
    let other_sum = arena[at + ${2 * length + 1}u];
    if (sum < 0.0 || other_sum < 0.0) { sum = -1.0; }
    else if (sum == 0.0) { sum = other_sum; most = other; }
    else if (other_sum > 0.0) {
      let larger = max(most, other);
      sum = sum * exp(most - larger) + other_sum * exp(other - larger);
      most = larger;
    }
  }
  if (node.lists <= ${topKFan}u) {
    let out = node.out + row * node.out_stride;
    for (var i = lane; i < node.count; i += ${lanes}u) {
      arena[out + i] = number_of(orders[i]);
      arena[out + node.count + i] = f32(columns[i]);
    }
    if (lane == 0u) { arena[out + 2u * node.count] = max(sum, 0.0); }
    for (var i = 2u * node.count + 1u + lane; i < node.out_stride; i += ${lanes}u) { arena[out + i] = 0.0; }
    return;
  }
  let out = node.out + row * node.out_stride + group.x * ${list}u;
  for (var i = lane; i < ${length}u; i += ${lanes}u) {
    arena[out + i] = number_of(orders[i]);
    arena[out + ${length}u + i] = f32(columns[i]);
  }
  if (lane == 0u) {
    arena[out + ${2 * length}u] = most;
    arena[out + ${2 * length + 1}u] = sum;
  }
}`,
  });
};
