/**
 * Who is hot, and which Kernels have all that was ever acknowledged; each Kernel keeps the newest it knows.
 */
export interface Reign {
  /** Raised by each switch; 0: there was none yet. */
  readonly epoch: number;
  /** Name of the hot Kernel; empty: all that is known is that somebody raised the epoch. */
  readonly hot: string;
  /** Counts the changes of the in-sync set within the epoch; only the hot Kernel makes them. */
  readonly revision: number;
  /** Kernels without which nothing is acknowledged, the hot one among them. */
  readonly inSync: readonly string[];
  /** Where it is not known who is hot: who was it last, as far as is known here. It is not told to others. */
  readonly former?: { readonly hot: string; readonly epoch: number };
}

export const NO_REIGN: Reign = { epoch: 0, hot: '', revision: 0, inSync: [] };

/**
 * Which of two reigns holds. Two Kernels that were forced at once, without each other, have one epoch: then
 * the name decides, the same everywhere, and one of them steps down.
 */
export function isNewerReign(one: Reign, than: Reign): boolean {
  if (one.epoch !== than.epoch) return one.epoch > than.epoch;
  if (one.hot !== than.hot) return than.hot === '' || (one.hot !== '' && one.hot < than.hot);
  return one.revision > than.revision;
}

/** A Kernel begins to rule, above everything that it knows. */
export function nextReign(
  above: number,
  { hot, inSync }: { readonly hot: string; readonly inSync: readonly string[] },
): Reign {
  return { epoch: above + 1, hot, revision: 0, inSync };
}

/** Somebody raised the epoch. Who was hot, and what the set was, is all that there is to go by then. */
export function withUnknownHot(before: Reign, { epoch, inSync }: Pick<Reign, 'epoch' | 'inSync'>): Reign {
  const { hot, former } = before;
  const last = hot === '' ? former : { hot, epoch: before.epoch };
  const isBoth = before.inSync.length > 0 && inSync.length > 0;
  // Each may know of a set that was made smaller since.
  const both = isBoth ? inSync.filter((name) => before.inSync.includes(name)) : [...before.inSync, ...inSync];
  return { epoch, hot: '', revision: 0, inSync: both, ...(last === undefined ? {} : { former: last }) };
}

/**
 * Whether a Kernel that hears of a reign of its own takes the place: another one, whose reign it knows,
 * handed over to it. So it is where a third one was forced in the same epoch meanwhile: who ruled in an epoch
 * does not follow another one in it. Otherwise it ruled already, and what its disk knew of that is gone: the
 * disk is empty, or is an older copy, and so may be its archive.
 */
export function isHandedOver(heard: Reign, own: Reign): boolean {
  const isNext = own.epoch === heard.epoch - 1 || own.epoch === heard.epoch;
  return own.hot !== '' && own.hot !== heard.hot && isNext;
}

/** Above a reign whose hot Kernel has lost what made it one: nobody rules until an operator says who. */
export function withoutHot({ epoch, hot, inSync }: Reign): Reign {
  return { epoch: epoch + 1, hot: '', revision: 0, inSync: inSync.filter((name) => name !== hot) };
}

/** The same reign with another in-sync set. */
export function withInSync(reign: Reign, inSync: readonly string[]): Reign {
  return { ...reign, revision: reign.revision + 1, inSync };
}
