import type { DataValue, MonitoredItem, OPCUAServer, ServerSession, Subscription } from 'node-opcua';
import { invariant } from '../../domain/errors.ts';

/**
 * Tells of every value that goes into the queue of a monitored item, the first one included. The library has
 * no event for it; the step that queues a value is wrapped on each item as it is created, before its
 * first value.
 */
export function recordQueued(server: OPCUAServer, queued: (nodeId: string, value: DataValue) => void): void {
  server.on('create_session', (session: ServerSession) => {
    session.on('new_subscription', (subscription: Subscription) => {
      subscription.on('monitoredItem', (item: MonitoredItem) => wrap(item, queued));
    });
  });
}

interface QueueingItem {
  _enqueue_value(value: DataValue): void;
}

function queuesValues(item: object): item is QueueingItem {
  return '_enqueue_value' in item && typeof item._enqueue_value === 'function';
}

function wrap(item: MonitoredItem, queued: (nodeId: string, value: DataValue) => void): void {
  const nodeId = String(item.itemToMonitor.nodeId);
  invariant(queuesValues(item), 'the library queues values by _enqueue_value');
  const enqueue = item._enqueue_value.bind(item);
  item._enqueue_value = (value) => {
    queued(nodeId, value);
    enqueue(value);
  };
}
