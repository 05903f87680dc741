// Completed jobs a second and the latency of a start, of BullMQ and graphile-worker, driven as
// their users drive them: producers that await each enqueue, and the library's own workers.
//
//   node measure.js PEER --port N [--mode cycle|batch|latency] [--rate N] [--processes 1]
//                   [--producers 64] [--concurrency 64] [--window 1000] [--pool 20]
//                   [--local-queue -1] [--complete-delay-ms -1] [--seconds 3] [--warmup-ms 1000]
//
// cycle: each producer enqueues one job at a time. batch: 100 at a time. At most `window` jobs are
// enqueued and not completed, so that workers always find some and none pile up. latency: enqueues
// are due on a schedule, and what is timed is from the call to the handler's begin.
// Prints one line of JSON.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { bullmq } from './bullmq.js'
import { graphile } from './graphile.js'

const PEERS = { bullmq, graphile }
const BATCH = 100
const NUMBERS = {
  port: 0, rate: 0, processes: 1, producers: 64, concurrency: 64, window: 1000, pool: 20,
  'local-queue': -1, 'complete-delay-ms': -1, seconds: 3, 'warmup-ms': 1000,
}

function readOptions() {
  const options = { mode: { type: 'string', default: 'cycle' } }
  for (const name of Object.keys(NUMBERS)) options[name] = { type: 'string' }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  if (!PEERS[positionals[0]]) throw new Error(`which peer? ${Object.keys(PEERS).join(', ')}`)
  const read = { peer: positionals[0], mode: values.mode }
  for (const [name, fallback] of Object.entries(NUMBERS)) {
    read[name] = Number(values[name] ?? fallback)
    if (!Number.isFinite(read[name])) throw new Error(`--${name} needs a number`)
  }
  return read
}

// The clock that all processes of the machine share.
const nowMs = () => performance.timeOrigin + performance.now()

// Producers and workers of one process, from the first job to the end of the measured time.
class Load {
  constructor(options, share) {
    this.options = options
    this.permits = Math.ceil(options.window / share)
    this.producers = Math.ceil(options.producers / share)
    this.rate = options.rate / share
    this.waiting = []
    this.completed = 0
    this.errors = 0
    this.firstError = null
    this.latencies = []
    this.pending = 0
    this.number = 0
    this.measured = false
    this.stopped = false
  }

  payload() {
    return { order: `o-${this.number++}`, amount_cents: 4200, sent_ms: nowMs() }
  }

  // A handler has begun.
  started(payload) {
    if (this.options.mode === 'latency' && this.measured) {
      this.latencies.push(nowMs() - payload.sent_ms)
    }
  }

  finished() {
    if (this.measured) this.completed++
    this.permits++
    while (this.waiting.length > 0 && this.permits >= this.waiting[0].count) {
      const next = this.waiting.shift()
      this.permits -= next.count
      next.resume()
    }
  }

  failed(error) {
    this.errors++
    this.firstError ??= String(error)
  }

  async take(count) {
    if (this.permits >= count && this.waiting.length === 0) {
      this.permits -= count
      return
    }
    await new Promise((resume) => this.waiting.push({ count, resume }))
  }

  async produce(peer) {
    const count = this.options.mode === 'batch' ? BATCH : 1
    while (!this.stopped) {
      await this.take(count)
      if (this.stopped) return
      try {
        if (count === 1) await peer.add(this.payload())
        else await peer.addMany(Array.from({ length: count }, () => this.payload()))
      } catch (error) {
        this.failed(error)
      }
    }
  }

  // Node's timers are a millisecond coarse: at each tick, what is due by then.
  async produceOnSchedule(peer) {
    const begun = performance.now()
    let due = 0
    while (!this.stopped) {
      const wanted = ((performance.now() - begun) / 1000) * this.rate
      for (; due < wanted; due++) {
        this.pending++
        peer.add(this.payload()).catch((error) => this.failed(error)).finally(() => this.pending--)
      }
      await new Promise((resume) => setTimeout(resume, 1))
    }
  }

  // Answers once the time is over; the peer is not yet closed.
  async run(peer) {
    const producing = this.options.mode === 'latency'
      ? [this.produceOnSchedule(peer)]
      : Array.from({ length: this.producers }, () => this.produce(peer))
    await new Promise((resume) => setTimeout(resume, this.options['warmup-ms']))
    this.measured = true
    const begun = performance.now()
    const cpu = process.cpuUsage()
    await new Promise((resume) => setTimeout(resume, this.options.seconds * 1000))
    this.measured = false
    const seconds = (performance.now() - begun) / 1000
    const { user, system } = process.cpuUsage(cpu)
    this.stopped = true
    for (const one of this.waiting.splice(0)) one.resume()
    await Promise.all(producing)
    return {
      rate: this.completed / seconds, latencies: this.latencies, errors: this.errors,
      firstError: this.firstError, pending: this.pending,
      user: user / 1e6 / seconds, system: system / 1e6 / seconds,
    }
  }
}

async function work(options) {
  const load = new Load(options, options.processes)
  const peer = await PEERS[options.peer](options, load)
  process.send('ready')
  await once(process, 'message')
  process.send(await load.run(peer))
  await peer.close()
  process.disconnect()
}

async function lead(options) {
  await PEERS[options.peer].prepare?.(options)
  const children = Array.from({ length: options.processes }, () =>
    fork(new URL(import.meta.url), process.argv.slice(2), { env: { ...process.env, LOAD_CHILD: '1' }, serialization: 'advanced' }))
  const answers = async (send) => {
    const all = children.map((child) => Promise.race([
      once(child, 'message').then(([message]) => message),
      once(child, 'exit').then(([code]) => { throw new Error(`a load process ended: ${code}`) }),
    ]))
    if (send) for (const child of children) child.send(send)
    return Promise.all(all)
  }
  const ended = children.map((child) => once(child, 'exit'))
  await answers()
  const parts = await answers('go')
  await Promise.all(ended)
  const sum = (pick) => parts.reduce((total, part) => total + pick(part), 0)
  const latencies = parts.flatMap((part) => part.latencies).sort((a, b) => a - b)
  const atUs = (part) => Math.round((latencies[Math.floor((latencies.length - 1) * part)] ?? 0) * 1000)
  console.log(JSON.stringify({
    rate_per_s: sum((part) => part.rate),
    latency: { p50_us: atUs(0.5), p90_us: atUs(0.9), p99_us: atUs(0.99), p999_us: atUs(0.999), max_us: atUs(1) },
    errors: sum((part) => part.errors),
    first_error: parts.find((part) => part.firstError)?.firstError ?? null,
    unanswered: sum((part) => part.pending),
    client_cpu: { user: sum((part) => part.user), system: sum((part) => part.system) },
  }))
}

const options = readOptions()
await (process.env.LOAD_CHILD ? work(options) : lead(options))
