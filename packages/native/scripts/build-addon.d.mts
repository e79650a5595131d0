export interface AddonBuild {
  readonly packageFolder: string;
  /** For people: `native CPU backend`. */
  readonly title: string;
  readonly packageName: string;
  /** `rwkv_cpu.node`; the target of binding.gyp has this name. */
  readonly fileName: string;
  /**
   * Files and folders that decide what is built, beside binding.gyp and this package's headers; paths in the package. All
   * files of a folder count.
   */
  readonly sources: readonly string[];
  /** What is wrong with the compiler, in words; undefined where nothing is. Not asked on Windows. */
  readonly refuse?: (question: {
    readonly compiler: string;
    readonly arch: string;
    readonly compiles: (flags: readonly string[]) => boolean;
  }) => string | undefined;
}

export interface BuiltAddon {
  readonly path: string;
  /** False where it was there already. */
  readonly built: boolean;
  readonly seconds: number;
}

/** Thrown where this machine cannot build; the message is one line for people, without a full stop. */
export declare class CannotBuild extends Error {}

/**
 * Waits for a build of the same package in another process.
 * @throws CannotBuild; an Error with the compiler's `output` where the sources are wrong
 */
export declare function buildAddon(
  addon: AddonBuild,
  options?: { readonly platform?: string; readonly force?: boolean; readonly verbose?: boolean },
): BuiltAddon;

/** The object files in this machine's addon whose path matches, built now where they are not current. */
export declare function addonObjects(addon: AddonBuild, pattern: RegExp): string[];

/**
 * The build script: --force, --verbose, --platform NAME. Without a compiler it prints one line and succeeds, because the
 * rest of a program works without the addon; with CI=true it fails. Returns the exit status.
 */
export declare function buildCommand(addon: AddonBuild): number;
