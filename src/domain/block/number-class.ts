/*
 * How the numbers of one tag are written within one block: as integers where that loses nothing, since a
 * meter of one decimal has 16 bits to say, and its float64 has 64.
 */

/** The class of a tag's numbers. The numbers below are those of the body. */
export const NumberClass = {
  /** 0 to 9: an integer `m`; the value is `m / 10^class`. Class 0 is also that of int64. */
  decimal: 0,
  /** 16 to 22: the value is the float32 that is nearest to `m / 10^(class - 16)`. */
  decimal32: 16,
  /** The value is the float32 with the bits of the signed 32-bit integer `m`. */
  float32: 30,
  /** No integer: all 64 bits, by planes. */
  raw: 31,
} as const;

const DECIMALS_MAX = 9;
const DECIMALS32_MAX = 6;
/** Above this a number of so many digits may be there by chance, and takes no less than its bits. */
const DECIMAL_MAGNITUDE_MAX = 2 ** 50;
const DECIMAL32_MAGNITUDE_MAX = 2 ** 21;
/** The same for int64: the distance of two such numbers is exact as a float64. */
export const INTEGER_MAGNITUDE_MAX = 2 ** 50;

const POWERS = Float64Array.from({ length: DECIMALS_MAX + 1 }, (_, digits) => 10 ** digits);
const bits32 = new DataView(new ArrayBuffer(4));

/** The class is one of float64. */
export function isNumberClass(code: number): boolean {
  return (
    (code >= 0 && code <= DECIMALS_MAX) ||
    (code >= NumberClass.decimal32 && code <= NumberClass.decimal32 + DECIMALS32_MAX) ||
    code === NumberClass.float32 ||
    code === NumberClass.raw
  );
}

/** The class is one of int64. */
export function isIntegerClass(code: number): boolean {
  return code === NumberClass.decimal || code === NumberClass.raw;
}

/** The integer that stands for a float64 in a class other than `raw`; NaN where it is not of that class. */
export function integerOf(value: number, code: number): number {
  if (code === NumberClass.float32) {
    if (Math.fround(value) !== value) return Number.NaN;
    bits32.setFloat32(0, value);
    return bits32.getInt32(0);
  }
  const isDouble = code < NumberClass.decimal32;
  const power = POWERS[isDouble ? code : code - NumberClass.decimal32] as number;
  const integer = Math.round(value * power);
  const back = isDouble ? integer / power : Math.fround(integer / power);
  const most = isDouble ? DECIMAL_MAGNITUDE_MAX : DECIMAL32_MAGNITUDE_MAX;
  if (back !== value || integer > most || integer < -most) return Number.NaN;
  // The sign of a zero is no matter of integers.
  return integer === 0 && Object.is(value, -0) ? Number.NaN : integer;
}

/** The float64 of an integer that `integerOf` gave. */
export function floatOf(integer: number, code: number): number {
  if (code < NumberClass.decimal32) return integer / (POWERS[code] as number);
  if (code !== NumberClass.float32) {
    return Math.fround(integer / (POWERS[code - NumberClass.decimal32] as number));
  }
  bits32.setInt32(0, integer);
  return bits32.getFloat32(0);
}

/** The next class above `code` that takes the value; `raw` takes all. -1 asks for the lowest. */
export function widerClass(value: number, code: number): number {
  if (code < NumberClass.decimal32 && couldBeDecimal(value)) {
    for (let digits = code + 1; digits <= DECIMALS_MAX; digits++) {
      if (!Number.isNaN(integerOf(value, digits))) return digits;
    }
  }
  if (code >= NumberClass.float32 || Math.fround(value) !== value) return NumberClass.raw;
  const first = code < NumberClass.decimal32 ? NumberClass.decimal32 + Math.max(code, 0) : code + 1;
  for (let code32 = first; code32 <= NumberClass.decimal32 + DECIMALS32_MAX; code32++) {
    if (!Number.isNaN(integerOf(value, code32))) return code32;
  }
  return NumberClass.float32;
}

/** False: no class of decimals takes it, and one look is enough to know. */
function couldBeDecimal(value: number): boolean {
  const power = POWERS[DECIMALS_MAX] as number;
  const scaled = value * power;
  return Math.abs(scaled) > DECIMAL_MAGNITUDE_MAX || Math.round(scaled) / power === value;
}
