import * as opcua from 'node-opcua-client';
import { expect, test } from 'vitest';
import { isKomError } from '../../domain/errors.ts';
import { Publisher } from './publishing.ts';

type Answer = (error: Error | null, response?: opcua.PublishResponse) => void;

/** A server that keeps Publish requests until the test answers them. */
function server(stored: ReadonlyMap<number, opcua.NotificationMessage> = new Map()) {
  const waiting: { request: opcua.PublishRequest; answer: Answer }[] = [];
  const requests: opcua.PublishRequest[] = [];
  return {
    waiting,
    requests,
    publish(request: opcua.PublishRequest, answer: Answer) {
      requests.push(request);
      waiting.push({ request, answer });
    },
    republish(
      request: opcua.RepublishRequest,
      answer: (error: Error | null, response?: opcua.RepublishResponse) => void,
    ) {
      const notificationMessage = stored.get(request.retransmitSequenceNumber);
      if (notificationMessage === undefined) answer(new Error('BadMessageNotAvailable'));
      else answer(null, new opcua.RepublishResponse({ notificationMessage }));
    },
    send(sequenceNumber: number, isData = true) {
      const response = new opcua.PublishResponse({
        subscriptionId: 1,
        notificationMessage: message(sequenceNumber, isData),
      });
      waiting.shift()?.answer(null, response);
    },
  };
}

function message(sequenceNumber: number, isData = true): opcua.NotificationMessage {
  const notificationData = isData ? [new opcua.DataChangeNotification({ monitoredItems: [] })] : [];
  return new opcua.NotificationMessage({ sequenceNumber, notificationData });
}

function publisher(session: ReturnType<typeof server>) {
  const heard: (number | 'lost')[] = [];
  const failures: unknown[] = [];
  const made = new Publisher({
    opcua,
    session,
    sinks: [
      {
        subscriptionId: 1,
        notified: ({ sequenceNumber }) => void heard.push(sequenceNumber),
        lost: () => void heard.push('lost'),
      },
    ],
    answerMaxMs: 1000,
    failed: (error) => failures.push(error),
  });
  made.start();
  return { heard, failures, made };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test('keeps requests waiting, hands messages on in order and acknowledges them', async () => {
  const session = server();
  const { heard } = publisher(session);
  expect(session.waiting).toHaveLength(2);
  session.send(1);
  session.send(2);
  session.send(3, false);
  await settled();
  expect(heard).toEqual([1, 2, 3]);
  expect(session.waiting).toHaveLength(2);
  const acknowledged = session.requests.flatMap((each) => each.subscriptionAcknowledgements ?? []);
  expect(acknowledged.map((each) => each.sequenceNumber)).toEqual([1, 2]);
});

test('a hole is filled with Republish, in order', async () => {
  const session = server(new Map([2, 3].map((sequence) => [sequence, message(sequence)])));
  const { heard } = publisher(session);
  session.send(1);
  session.send(4);
  session.send(5);
  await settled();
  expect(heard).toEqual([1, 2, 3, 4, 5]);
});

test('a keep-alive that announces a later number shows the hole too', async () => {
  const session = server(new Map([[2, message(2)]]));
  const { heard } = publisher(session);
  session.send(1);
  session.send(3, false);
  session.send(3);
  await settled();
  expect(heard).toEqual([1, 2, 3, 3]);
});

test('what the server no longer has is reported as lost', async () => {
  const session = server();
  const { heard, failures } = publisher(session);
  session.send(1);
  session.send(3);
  await settled();
  expect(heard).toEqual([1, 'lost', 3]);
  expect(failures).toEqual([]);
});

test('a lost session fails once and asks no more', async () => {
  const session = server();
  const { failures } = publisher(session);
  for (const { answer } of session.waiting.splice(0)) answer(new Error('BadSessionClosed'));
  await settled();
  expect(failures).toHaveLength(1);
  expect(isKomError(failures[0], 'KOM_CONNECTION_LOST')).toBe(true);
  expect(session.waiting).toHaveLength(0);
});

test('a server with room for fewer requests gets fewer', async () => {
  const session = server();
  const { failures } = publisher(session);
  session.waiting.pop()?.answer(new Error('BadTooManyPublishRequests'));
  session.send(1);
  await settled();
  expect(failures).toEqual([]);
  expect(session.waiting).toHaveLength(1);
});
