/** Sums over a workgroup of `size` invocations through shared memory, in an order that never changes. */
export function workgroupSum(size: number, element: 'f32' | 'vec4f' = 'f32', name = 'sum'): string {
  return `
var<workgroup> ${name}_parts: array<${element}, ${size}>;
fn workgroup_${name}(lane: u32, value: ${element}) -> ${element} {
  workgroupBarrier();
  ${name}_parts[lane] = value;
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) { ${name}_parts[lane] += ${name}_parts[lane + half]; }
    workgroupBarrier();
  }
  return ${name}_parts[0];
}
`;
}
