import { describe, expect, it } from 'vitest';
import { crc16 } from '../../sim/modbus/framing.ts';
import { BusListener, listeningMs } from './listening.ts';
import { modbusLine, modbusStation, modbusTag } from './testing.ts';

function framed(...body: number[]): Uint8Array {
  const check = crc16(Uint8Array.from(body));
  return Uint8Array.from([...body, check & 0xff, check >> 8]);
}

const REQUEST = framed(7, 3, 0, 100, 0, 2);
const ANSWER = framed(7, 3, 4, 1, 2, 3, 4);
const NOISE = Uint8Array.from({ length: 40 }, (_, at) => (at * 37 + 11) & 0xff);

function heard(...pieces: Uint8Array[]): number {
  const bus = new BusListener();
  for (const piece of pieces) bus.heard(piece);
  return bus.requests;
}

describe('listening on a bus', () => {
  it('hears requests of somebody else, whole or in pieces, between answers and noise', () => {
    expect(heard(REQUEST)).toBe(1);
    expect(heard(REQUEST.subarray(0, 3), REQUEST.subarray(3))).toBe(1);
    expect(heard(NOISE, REQUEST, ANSWER, REQUEST.subarray(0, 7), REQUEST.subarray(7), NOISE)).toBe(2);
  });

  it('takes neither answers nor noise nor a damaged request for one', () => {
    const damaged = Uint8Array.from(REQUEST, (byte, at) => (at === 3 ? byte ^ 1 : byte));
    expect(heard(ANSWER, NOISE, damaged, framed(7, 0x83, 2), framed(7, 99, 0, 0, 0, 1))).toBe(0);
  });

  it('keeps no more than it needs', () => {
    const bus = new BusListener();
    for (let time = 0; time < 1000; time += 1) bus.heard(NOISE);
    bus.heard(REQUEST);
    expect(bus.requests).toBe(1);
  });

  it('lasts two cycles of the fastest scan of what is polled', () => {
    const station = (mode: 'on' | 'off', scanMs: number) =>
      modbusStation({ mode, tags: [modbusTag({ scanMs: 60_000 }), modbusTag({ index: 1, scanMs })] });
    const stations = [station('on', 500), station('off', 10)];
    expect(listeningMs(modbusLine({ stations, responseTimeoutMs: 200 }))).toBe(1200);
    expect(listeningMs(modbusLine({ responseTimeoutMs: 200 }))).toBe(2200);
  });
});
