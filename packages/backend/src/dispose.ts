/**
 * Safari and older runtimes lack the disposal symbols. Without this a class written `[Symbol.asyncDispose]() {}` would
 * silently get a method called "undefined" there, so every package that makes handles imports the errors, and with
 * them this file, first.
 */
const symbols = Symbol as { dispose?: symbol; asyncDispose?: symbol };
for (const name of ['dispose', 'asyncDispose'] as const) {
  if (symbols[name] === undefined) {
    Object.defineProperty(Symbol, name, { value: Symbol.for(`Symbol.${name}`) });
  }
}

export {};
