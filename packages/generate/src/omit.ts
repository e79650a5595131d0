/** The object without some of its fields. */
export function omit<T extends object, Name extends keyof T & string>(
  object: T,
  ...names: readonly Name[]
): Omit<T, Name> {
  const dropped: readonly string[] = names;
  const rest = Object.entries(object).filter(([name]) => !dropped.includes(name));
  return Object.fromEntries(rest) as Omit<T, Name>;
}
