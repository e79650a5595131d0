/** A copy without one property. */
export function omit<Value extends object, Key extends keyof Value>(
  value: Value,
  key: Key,
): Omit<Value, Key> {
  const copy: Partial<Value> = { ...value };
  Reflect.deleteProperty(copy, key);
  return copy as Omit<Value, Key>;
}
