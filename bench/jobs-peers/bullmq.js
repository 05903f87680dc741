// BullMQ: one queue, one worker a process. Producers share the queue's connection, on which
// ioredis sends what is called concurrently one behind the other, as BullMQ's users do.

import { Queue, Worker } from 'bullmq'

export async function bullmq(options, load) {
  const connection = { host: '127.0.0.1', port: options.port, maxRetriesPerRequest: null }
  const queue = new Queue('bench', { connection })
  // Nothing is kept of what is done: the fastest there is.
  const worker = new Worker('bench', async (job) => load.started(job.data), {
    connection, concurrency: options.concurrency, removeOnComplete: { count: 0 }, removeOnFail: { count: 0 },
  })
  worker.on('completed', () => load.finished())
  worker.on('failed', (_, error) => load.failed(error))
  worker.on('error', (error) => load.failed(error))
  queue.on('error', (error) => load.failed(error))
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()])
  return {
    add: (payload) => queue.add('job', payload),
    addMany: (payloads) => queue.addBulk(payloads.map((data) => ({ name: 'job', data }))),
    close: async () => {
      await worker.close(true)
      await queue.close()
    },
  }
}
