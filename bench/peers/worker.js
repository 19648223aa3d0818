// BullMQ's worker, a process of its own.
import { Worker } from 'bullmq'
import { deliver } from './deliver.js'

const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null }
const worker = new Worker('orders', (job) => deliver(JSON.parse(job.data.body)), { connection, concurrency: Number(process.env.CONCURRENCY ?? 50) })

worker.on('error', (error) => console.error(error))
worker.on('failed', (_job, error) => console.error(error.message))
