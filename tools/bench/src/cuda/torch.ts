/** The official PyTorch path as the peer: native/rwkv7_torch_cuda.py, where a PyTorch that sees a GPU is installed. */
import { fileURLToPath } from 'node:url';
import type { WeightFormat } from '@rwkv-ts/backend';
import { execute, lastLine } from '../common/execute.js';

export const torchScript = fileURLToPath(new URL('../native/rwkv7_torch_cuda.py', import.meta.url));

/** What PyTorch computes in; it has no kernels for blocks. */
export const torchFormats: readonly WeightFormat[] = ['f32', 'f16', 'bf16'];

export interface TorchChoice {
  /** A program, or `none`. */
  readonly python: string;
  readonly device: number;
  readonly script: string;
  /** Where weights are kept from one round to the next. */
  readonly folder: string;
}

export interface TorchPeer {
  /** Empty where there is none. */
  readonly command: readonly string[];
  /** Why there is none, in words. */
  readonly absence?: string;
}

/** Never rejects. */
export async function torchPeer(choice: TorchChoice): Promise<TorchPeer> {
  const { python, device, script, folder } = choice;
  if (python === 'none') return { command: [], absence: '`--python none` leaves it out.' };
  const looked = 'import torch; assert torch.cuda.is_available(), "PyTorch sees no CUDA device"';
  const { errors, status } = await execute([python, '-c', looked]);
  if (status !== '0') return { command: [], absence: `${python}: ${lastLine(errors) || status}` };
  return { command: [python, script, '--device', `cuda:${device}`, '--folder', folder] };
}
