export interface PrebuiltPlatform {
  readonly os: string;
  readonly cpu: string;
  readonly libc?: string;
}

export declare const platforms: Readonly<Record<string, PrebuiltPlatform>>;

export declare function platformName(machine?: {
  readonly platform?: string;
  readonly arch?: string;
  readonly libc?: 'gnu' | 'musl';
}): string;

export declare function findLibc(sources?: {
  readonly readMap?: () => string | undefined;
  readonly report?: () =>
    { readonly header?: { readonly glibcVersionRuntime?: string } } | undefined;
}): 'gnu' | 'musl';

export declare function buildTools(platform?: string): string;
