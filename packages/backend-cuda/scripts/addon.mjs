/** What this package's addon is, for finding, building and packing it. */
export const addon = {
  title: 'CUDA backend',
  packageName: '@rwkv-ts/backend-cuda',
  fileName: 'rwkv_cuda.node',
  platforms: ['linux-x64-gnu', 'linux-arm64-gnu', 'win32-x64'],
};
