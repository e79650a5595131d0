/** What the page remembers as text: small, and for this browser only. */
export interface Memory {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** `localStorage`, or where it is forbidden (its very name may throw) a memory that ends with the page. */
export function pageMemory(): Memory {
  try {
    localStorage.getItem('rwkv-ts');
    return localStorage;
  } catch {
    const values = new Map<string, string>();
    return {
      getItem: (key) => values.get(key) ?? null,
      setItem: (key, value) => void values.set(key, value),
      removeItem: (key) => void values.delete(key),
    };
  }
}
