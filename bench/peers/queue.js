// The order goes into BullMQ, then the answer.
import { Queue } from 'bullmq'
import { serve } from './server.js'

const queue = new Queue('orders', { connection: { host: '127.0.0.1', port: Number(process.env.REDIS_PORT) } })
const options = { attempts: 10, backoff: { type: 'exponential', delay: 1000 }, removeOnComplete: 1000, removeOnFail: false }

await queue.waitUntilReady()
await serve((raw, headers) => queue.add('order', { body: raw.toString() }, { ...options, jobId: headers['x-shopify-webhook-id'] }))
