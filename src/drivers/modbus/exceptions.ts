import { Quality } from '../../domain/quality.ts';

/** Exception codes of a unit or gateway (Modbus Application Protocol V1.1b3, section 7). */
export const ExceptionCode = {
  illegalFunction: 0x01,
  illegalAddress: 0x02,
  illegalValue: 0x03,
  deviceFailure: 0x04,
  acknowledge: 0x05,
  busy: 0x06,
  memoryParity: 0x08,
  gatewayPath: 0x0a,
  gatewayTarget: 0x0b,
} as const;

const QUALITIES: ReadonlyMap<number, number> = new Map([
  [ExceptionCode.illegalFunction, Quality.badNotSupported],
  [ExceptionCode.illegalAddress, Quality.badConfigurationError],
  [ExceptionCode.illegalValue, Quality.badConfigurationError],
  [ExceptionCode.deviceFailure, Quality.badDeviceFailure],
  [ExceptionCode.acknowledge, Quality.badResourceUnavailable],
  [ExceptionCode.busy, Quality.badResourceUnavailable],
  [ExceptionCode.memoryParity, Quality.badDeviceFailure],
  [ExceptionCode.gatewayPath, Quality.badNoCommunication],
  [ExceptionCode.gatewayTarget, Quality.badNoCommunication],
]);

/** The quality of tags whose request was answered with an exception. */
export function qualityOfException(code: number): number {
  return QUALITIES.get(code) ?? Quality.badDeviceFailure;
}

/** The device asks to try again later. */
export function isBusy(code: number): boolean {
  return code === ExceptionCode.acknowledge || code === ExceptionCode.busy;
}

/** A gateway says that the unit behind it does not answer: the unit itself said nothing. */
export function isGatewaySilence(code: number): boolean {
  return code === ExceptionCode.gatewayPath || code === ExceptionCode.gatewayTarget;
}

/** A request with fewer registers might be answered. */
export function isWorthSplitting(code: number): boolean {
  return code === ExceptionCode.illegalAddress || code === ExceptionCode.illegalValue;
}
