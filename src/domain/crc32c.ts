/** CRC-32C (Castagnoli, RFC 3720 B.4), eight bytes a step. */
const TABLES = makeTables();

function makeTables(): readonly Uint32Array[] {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
    (tables[0] as Uint32Array)[byte] = crc;
  }
  for (let step = 1; step < 8; step++) {
    for (let byte = 0; byte < 256; byte++) {
      const before = tables[step - 1]?.[byte] ?? 0;
      (tables[step] as Uint32Array)[byte] = (before >>> 8) ^ (tables[0]?.[before & 0xff] ?? 0);
    }
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

/** CRC-32C of `bytes`, an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wholeEnd = bytes.length - (bytes.length % 8);
  let at = 0;
  for (; at < wholeEnd; at += 8) {
    const low = crc ^ view.getUint32(at, true);
    const high = view.getUint32(at + 4, true);
    crc =
      at8(T7, low) ^
      at8(T6, low >>> 8) ^
      at8(T5, low >>> 16) ^
      at8(T4, low >>> 24) ^
      at8(T3, high) ^
      at8(T2, high >>> 8) ^
      at8(T1, high >>> 16) ^
      at8(T0, high >>> 24);
  }
  for (; at < bytes.length; at++) crc = at8(T0, crc ^ view.getUint8(at)) ^ (crc >>> 8);
  return (crc ^ 0xffff_ffff) >>> 0;
}

function at8(table: Uint32Array, index: number): number {
  return table[index & 0xff] as number;
}
