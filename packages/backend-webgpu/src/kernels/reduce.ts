/**
 * Sums over a workgroup of `size` invocations, a power of two, in an order that never changes: a few lanes add up as many
 * numbers each, then every lane adds up theirs. Two barriers, where a tree has one for each of its levels. Zeros are written
 * out: in loops, drivers were seen that set a variable without a value to zero in the first round only.
 */
export function workgroupSum(size: number, element: 'f32' | 'vec2f' = 'f32'): string {
  const few = 2 ** Math.floor(Math.log2(size) / 2);
  const each = size / few;
  const name = element === 'f32' ? 'sum' : 'sums';
  return `
var<workgroup> ${name}_parts: array<${element}, ${size}>;
var<workgroup> ${name}_of_lanes: array<${element}, ${few}>;
fn workgroup_${name}(lane: u32, value: ${element}) -> ${element} {
  ${name}_parts[lane] = value;
  workgroupBarrier();
  if (lane < ${few}u) {
    var part = ${element}();
    for (var i = 0u; i < ${each}u; i++) { part += ${name}_parts[lane + ${few}u * i]; }
    ${name}_of_lanes[lane] = part;
  }
  workgroupBarrier();
  var total = ${element}();
  for (var i = 0u; i < ${few}u; i++) { total += ${name}_of_lanes[i]; }
  return total;
}
`;
}
