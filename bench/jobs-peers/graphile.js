// graphile-worker: one pool of connections for producers and one runner a process. Its local queue
// and its batched completions are off unless asked for.

import { EventEmitter } from 'node:events'
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import pg from 'pg'

const silent = new Logger(() => () => {})
const url = (options) => `postgres://bench@127.0.0.1:${options.port}/postgres`

export async function graphile(options, load) {
  const producers = new pg.Pool({ connectionString: url(options), max: options.pool })
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
  const pool = new pg.Pool({ connectionString: url(options), max: 1 })
  await pool.query('drop schema if exists graphile_worker cascade')
  const utils = await makeWorkerUtils({ pgPool: pool, logger: silent })
  await utils.migrate()
  await utils.release()
  await pool.end()
}
