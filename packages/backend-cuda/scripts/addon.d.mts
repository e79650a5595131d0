import type { AddonDescription } from '@rwkv-ts/native';

export declare const addon: AddonDescription;
