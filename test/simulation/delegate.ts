/** The same object with some of its members replaced; methods that are not are called on it. */
export function delegated<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get: (of, key) => {
      if (Reflect.has(replaced, key)) return Reflect.get(replaced, key);
      const value: unknown = Reflect.get(of, key);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
}
