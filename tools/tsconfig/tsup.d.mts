import type { defineConfig, Options } from 'tsup';

export declare function definePackage(settings?: {
  entry?: Record<string, string>;
  platform?: 'node' | 'neutral';
  options?: Options;
}): ReturnType<typeof defineConfig>;
