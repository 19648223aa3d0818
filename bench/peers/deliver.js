// Meta, then Klaviyo, over a pool of connections that is as large as it has to be.
import { Agent, request } from 'undici'
import { klaviyoBody, klaviyoHeaders, klaviyoUrl, metaBody, metaHeaders, metaUrl } from './order.js'

const base = process.env.DESTINATION
const dispatcher = new Agent({ connections: 512, pipelining: 1, keepAliveTimeout: 60_000 })

async function post(url, headers, body) {
  const answer = await request(url, { method: 'POST', headers, body: JSON.stringify(body), dispatcher })
  await answer.body.dump()
  if (answer.statusCode >= 300) throw new Error(`${url} answered ${answer.statusCode}`)
}

export async function deliver(order) {
  await post(metaUrl(base), metaHeaders, metaBody(order))
  await post(klaviyoUrl(base), klaviyoHeaders, klaviyoBody(order, 'sent'))
}
