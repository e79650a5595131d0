export interface NativeTestProgram {
  readonly name: string;
  /** Tests kernels, so that it is run for every instruction set. */
  readonly takesInstructions: boolean;
}

export interface NativeTests {
  /** Instruction sets that this processor, or the emulated one, runs. */
  readonly here: readonly string[];
  /** Functions of the kernels that the linker could take from another instruction set's object; there should be none. */
  sharedSymbols(): Promise<string[]>;
  run(
    program: string,
    instructions?: string,
  ): Promise<{ readonly status: number; readonly output: string }>;
}

export declare function testPrograms(): NativeTestProgram[];
export declare function instructionSetsOf(arch: string): string[];
export declare function missingFor(arch: string): string | undefined;
export declare function buildNativeTests(options?: {
  readonly arch?: string;
  readonly sanitize?: string;
  readonly names?: readonly string[];
}): Promise<NativeTests>;
