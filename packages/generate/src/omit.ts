/** The object without some of its fields. */
export function omit<T extends object, Name extends keyof T>(
  object: T,
  ...names: readonly Name[]
): Omit<T, Name> {
  const rest = { ...object };
  for (const name of names) delete rest[name];
  return rest;
}
