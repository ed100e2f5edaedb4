/** The same object with some of its members replaced; methods that are not are called on it. */
export function delegated<T extends object>(target: T, replaced: Partial<T>): T {
  // They are called at every message and every mark, and do not change.
  const bound = new Map<unknown, unknown>();
  return new Proxy(target, {
    get: (of, key) => {
      if (Reflect.has(replaced, key)) return Reflect.get(replaced, key);
      const value: unknown = Reflect.get(of, key);
      if (typeof value !== 'function') return value;
      if (!bound.has(value)) bound.set(value, value.bind(of));
      return bound.get(value);
    },
  });
}
