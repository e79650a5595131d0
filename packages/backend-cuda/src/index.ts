export type { Fields, Kernel } from './kernels/kernel.js';
