/** A request as it came, and how its answer is wrapped. */
export interface RequestFrame {
  readonly unit: number;
  readonly pdu: Uint8Array;
  /** The bytes of an answer. */
  wrap(pdu: Uint8Array): Uint8Array;
}

/** Bytes in, whole requests out. Keeps at most one unfinished request. */
export interface RequestReader {
  push(bytes: Uint8Array): RequestFrame[];
}

const HEADER_BYTES = 7;
const PDU_BYTES_MAX = 253;

/** Requests of Modbus TCP (Modbus Messaging on TCP/IP V1.0b, 3.1.3). Other bytes are dropped whole. */
export function tcpReader(): RequestReader {
  let buffer = Buffer.alloc(0);
  return {
    push(bytes) {
      buffer = Buffer.concat([buffer, bytes]);
      const frames: RequestFrame[] = [];
      while (buffer.length >= HEADER_BYTES) {
        const length = buffer.readUInt16BE(4);
        if (buffer.readUInt16BE(2) !== 0 || length < 2 || length > PDU_BYTES_MAX + 1) {
          buffer = Buffer.alloc(0);
          break;
        }
        if (buffer.length < 6 + length) break;
        frames.push(tcpFrame(buffer.subarray(0, 6 + length)));
        buffer = buffer.subarray(6 + length);
      }
      return frames;
    },
  };
}

/** Requests of Modbus RTU (Modbus over Serial Line V1.02, 2.5.1); told apart by length and CRC. */
export function rtuReader(): RequestReader {
  let buffer = Buffer.alloc(0);
  return {
    push(bytes) {
      buffer = Buffer.concat([buffer, bytes]);
      const frames: RequestFrame[] = [];
      while (buffer.length >= 8) {
        const length = rtuRequestBytes(buffer);
        if (length > buffer.length) break;
        const frame = buffer.subarray(0, length);
        if (crc16(frame.subarray(0, -2)) === frame.readUInt16LE(length - 2)) {
          frames.push(rtuFrame(frame));
          buffer = buffer.subarray(length);
        } else {
          buffer = buffer.subarray(1);
        }
      }
      return frames;
    },
  };
}

function tcpFrame(bytes: Buffer): RequestFrame {
  return {
    unit: bytes.readUInt8(6),
    pdu: Uint8Array.from(bytes.subarray(HEADER_BYTES)),
    wrap(pdu) {
      const header = Buffer.from(bytes.subarray(0, HEADER_BYTES));
      header.writeUInt16BE(pdu.length + 1, 4);
      return Buffer.concat([header, pdu]);
    },
  };
}

function rtuFrame(bytes: Buffer): RequestFrame {
  const unit = bytes.readUInt8(0);
  return {
    unit,
    pdu: Uint8Array.from(bytes.subarray(1, -2)),
    wrap(pdu) {
      const body = Buffer.from([unit, ...pdu, 0, 0]);
      body.writeUInt16LE(crc16(body.subarray(0, -2)), body.length - 2);
      return body;
    },
  };
}

/** Writes of several coils or registers carry their byte count; all other requests here are 8 bytes long. */
function rtuRequestBytes(buffer: Buffer): number {
  const functionCode = buffer.readUInt8(1);
  return functionCode === 15 || functionCode === 16 ? 9 + buffer.readUInt8(6) : 8;
}

/** CRC of an RTU frame (Modbus over Serial Line V1.02, 6.2.2). */
export function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}
