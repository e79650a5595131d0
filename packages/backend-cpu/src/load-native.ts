import { findAddon, type FoundAddon } from '@rwkv-ts/native';
import { addon } from '../scripts/addon.mjs';
import type { NativeAddon } from './native.js';

/** @throws BackendError `DEVICE_UNAVAILABLE` */
export function findNative(): FoundAddon<NativeAddon> {
  return findAddon(addon, import.meta.url);
}

/** @throws BackendError `DEVICE_UNAVAILABLE` */
export function loadNative(): NativeAddon {
  return findNative().addon;
}
