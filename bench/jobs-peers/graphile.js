// graphile-worker: one pool of connections for producers and one runner a process. Its local queue
// and its batched completions are off unless asked for.

import { EventEmitter } from 'node:events'
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import pg from 'pg'

const silent = new Logger(() => () => {})
const url = (options) => `postgres://bench@127.0.0.1:${options.port}/postgres`

function pool(options, max, failed) {
  const made = new pg.Pool({ connectionString: url(options), max })
  made.on('error', failed)
  made.on('connect', (client) => client.on('error', failed))
  return made
}

export async function graphile(options, load) {
  const failed = (error) => load.failed(error)
  const producers = pool(options, options.pool, failed)
  const utils = await makeWorkerUtils({ pgPool: producers, logger: silent })
  const events = new EventEmitter()
  events.on('job:complete', ({ error }) => (error ? load.failed(error) : load.finished()))
  const runner = await run({
    connectionString: url(options), logger: silent, events, noHandleSignals: true,
    taskList: { job: async (payload) => load.started(payload) },
    preset: {
      worker: {
        concurrentJobs: options.concurrency, maxPoolSize: options.pool,
        localQueue: { size: options['local-queue'] }, completeJobBatchDelay: options['complete-delay-ms'],
      },
    },
  })
  return {
    add: (payload) => utils.addJob('job', payload),
    addMany: (payloads) => utils.addJobs(payloads.map((payload) => ({ identifier: 'job', payload }))),
    close: async () => {
      await runner.stop()
      await utils.release()
      await producers.end()
    },
  }
}

// The schema, and nothing left from before.
graphile.prepare = async (options) => {
  const alone = pool(options, 1, (error) => { throw error })
  await alone.query('drop schema if exists graphile_worker cascade')
  const utils = await makeWorkerUtils({ pgPool: alone, logger: silent })
  await utils.migrate()
  await utils.release()
  await alone.end()
}
