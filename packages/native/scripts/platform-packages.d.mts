export interface PackedAddon {
  readonly packageFolder: string;
  readonly fileName: string;
  /** Those with a platform package; by default all that there are. */
  readonly platforms?: readonly string[];
}

/** Packs what is in prebuilds/<platform>; returns the path of the tarball. */
export declare function pack(
  addon: PackedAddon,
  options?: { readonly platform?: string; readonly to?: string },
): string;
/** Makes the packed packages optional dependencies in package.json. */
export declare function wire(addon: PackedAddon, options?: { readonly from?: string }): void;
/** The script: `pack` or `wire`, --platform, --to, --from. Returns the exit status. */
export declare function platformPackagesCommand(addon: PackedAddon): number;
