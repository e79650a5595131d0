export declare function installAddon(addon: {
  readonly packageFolder: string;
  /** For people: `native CPU backend`. */
  readonly title: string;
  /** Rejects where no addon loads. */
  readonly load: () => Promise<unknown>;
  /** Builds it; imported late, because nothing is built where the addon loads. */
  readonly build: () => Promise<{ readonly seconds: number }>;
}): Promise<void>;
