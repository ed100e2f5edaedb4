/**
 * Qualities are OPC UA status codes (OPC 10000-4, 7.39; the severity is in the two highest bits).
 * Modbus faults map onto the same codes, so an archive has one vocabulary.
 */
export const Quality = {
  good: 0x0000_0000,
  uncertain: 0x4000_0000,
  uncertainLastUsableValue: 0x4090_0000,
  bad: 0x8000_0000,
  badResourceUnavailable: 0x8004_0000,
  badCommunicationError: 0x8005_0000,
  badEncodingLimitsExceeded: 0x8008_0000,
  badTimeout: 0x800a_0000,
  badNoCommunication: 0x8031_0000,
  badWaitingForInitialData: 0x8032_0000,
  badNodeIdUnknown: 0x8034_0000,
  badOutOfRange: 0x803c_0000,
  badNotSupported: 0x803d_0000,
  badTypeMismatch: 0x8074_0000,
  badConfigurationError: 0x8089_0000,
  badNotConnected: 0x808a_0000,
  badDeviceFailure: 0x808b_0000,
  badSensorFailure: 0x808c_0000,
  badOutOfService: 0x808d_0000,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(Quality).map(([name, code]) => [code, name.charAt(0).toUpperCase() + name.slice(1)]),
);

/** Severity good. */
export function isGood(quality: number): boolean {
  return quality >>> 30 === 0;
}

/** Severity good or uncertain: the value may be used. */
export function isUsable(quality: number): boolean {
  return quality >>> 31 === 0;
}

/** Severity bad: the value must not be used. */
export function isBad(quality: number): boolean {
  return quality >>> 31 === 1;
}

const UNOBSERVED: ReadonlySet<number> = new Set([
  Quality.badCommunicationError,
  Quality.badTimeout,
  Quality.badNoCommunication,
  Quality.badWaitingForInitialData,
  Quality.badNotConnected,
  Quality.badOutOfService,
]);

/**
 * The quality says that nobody saw the point, as against a point that was seen to be bad. The time spent
 * in such a quality is declared as a time gap.
 */
export function isUnobserved(quality: number): boolean {
  // The low 16 bits are flags of the information (OPC 10000-4, table 176), not part of the code.
  return UNOBSERVED.has((quality & 0xffff_0000) >>> 0);
}

/** `Good`, `BadTimeout`, or the hexadecimal code where the name is not in our table. */
export function qualityName(quality: number): string {
  return NAMES.get(quality) ?? `0x${quality.toString(16).padStart(8, '0')}`;
}
