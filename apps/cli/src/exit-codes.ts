/** What the command's exit codes mean; shown in `rwkv --help` and stable for scripts. */
export const exitCodes = {
  ok: 0,
  /** Something failed that is neither the command line nor an input: a bug, a full disk, a failed self-test. */
  failed: 1,
  /** The command line was wrong. */
  usage: 2,
  /** A model, tokenizer, state or text could not be found, read or accepted. */
  input: 3,
  /** No backend of the wanted kind works here, or it ran out of memory. */
  backend: 4,
  /** Ctrl-C. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
