/** Every kernel, in the order in which a device is asked for them. */
import { bonus7Kernel } from './bonus7.js';
import {
  activateKernel,
  addKernel,
  copyKernel,
  lerpKernel,
  mulKernel,
  scaleKernel,
  selectRowsKernel,
} from './elementwise.js';
import { embedKernel } from './embed.js';
import type { Kernel } from './kernel.js';
import { linearKernels } from './linear.js';
import { l2NormKernel, normKernel } from './norm.js';
import { packKernels } from './pack.js';
import { parameterKernel } from './parameter.js';
import { prepareKernels } from './prepare.js';
import { prepare7Kernel } from './prepare7.js';
import { probeKernel } from './probe.js';
import { rowMatmulKernel } from './row-matmul.js';
import { shiftMixKernel } from './shift-mix.js';
import { topKKernel, topKMergeKernel } from './top-k.js';
import { wkv4Kernel } from './wkv4.js';
import { wkv6Kernel } from './wkv6.js';
import { wkv6CarryKernel, wkv6ChunksKernel, wkv6FinishKernel } from './wkv6-chunk.js';
import { wkv7Kernel } from './wkv7.js';
import { wkv7CarryKernel, wkv7ChunksKernel, wkv7FinishKernel } from './wkv7-chunk.js';

/** Those with a kernel of their own, and one that has none. */
const headSizes = [32, 64, 128, 1];

export const kernels: readonly Kernel[] = [
  embedKernel,
  selectRowsKernel,
  copyKernel,
  lerpKernel,
  addKernel,
  mulKernel,
  scaleKernel,
  activateKernel,
  normKernel,
  l2NormKernel,
  shiftMixKernel,
  rowMatmulKernel,
  bonus7Kernel,
  prepare7Kernel,
  topKKernel,
  topKMergeKernel,
  wkv4Kernel,
  ...headSizes.map(wkv6Kernel),
  wkv6ChunksKernel,
  wkv6CarryKernel,
  wkv6FinishKernel,
  ...headSizes.map(wkv7Kernel),
  wkv7ChunksKernel,
  wkv7CarryKernel,
  wkv7FinishKernel,
  parameterKernel,
  ...packKernels,
  ...Object.values(prepareKernels),
  ...linearKernels,
  probeKernel,
];

const indices = new Map(kernels.map(({ name }, index) => [name, index]));

/** Of the kernel of this name in `kernels`. */
export const kernelIndex = ({ name }: Pick<Kernel, 'name'>): number => indices.get(name)!;
