/** What this package's addon is, for finding, building and packing it. */
export const addon = {
  title: 'native CPU backend',
  packageName: '@rwkv-ts/backend-cpu',
  fileName: 'rwkv_cpu.node',
};
