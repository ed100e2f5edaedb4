/** Where chance comes from: identities, jitter, and in a simulation every fault. */
export interface Random {
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). */
  fraction(): number;
}

/** A fresh 128-bit identity, 32 hexadecimal digits. */
export function mintId(random: Random): string {
  return Buffer.from(random.bytes(16)).toString('hex');
}
