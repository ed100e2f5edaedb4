import { expect, test } from 'vitest';
import { encodeMessage } from './codec.ts';
import { foreignProtocol } from './foreign.ts';
import { frame } from './frame.ts';

test.each([
  [Buffer.from('GET / HTTP/1.1\r\n'), 'an HTTP request'],
  [Buffer.from('OPTIONS * HTTP/1.1\r\n'), 'an HTTP request'],
  [Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 'an HTTP/2 request'],
  [Buffer.from('160301020001', 'hex'), 'a TLS handshake'],
  [Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'), 'an SSH client'],
  [Buffer.from('GETTING'), null],
  [Buffer.from([0x16]), null],
  [new Uint8Array(), null],
])('%s', (bytes, expected) => {
  expect(foreignProtocol(bytes)).toBe(expected);
});

test('no frame of a message looks like anything else, whatever its length', () => {
  const text = (length: number): Uint8Array =>
    encodeMessage({ type: 'bye', reason: 'stopping', text: 'G'.repeat(length) });
  for (let length = 0; length < 400; length++) expect(foreignProtocol(text(length))).toBeNull();
  // The length alone is not what tells them apart.
  expect(frame(new Uint8Array(0x47))[0]).toBe('G'.charCodeAt(0));
});
