// The handler that articles on the subject show: the order is read, Meta is asked with fetch, then Klaviyo, whatever Meta said; no
// signature, no store, no retry.
import Fastify from 'fastify'
import { klaviyoHeaders, klaviyoUrl, metaBody, metaHeaders, metaUrl } from './order.js'

const base = process.env.DESTINATION
const app = Fastify({ bodyLimit: 8 << 20 })

async function askMeta(order) {
  const body = metaBody(order)
  const answer = await fetch(metaUrl(base), { method: 'POST', headers: metaHeaders, body: JSON.stringify(body) })
  await answer.text()
  return { ok: answer.ok, eventId: body.data[0].event_id }
}

async function triggerFlow(order, meta) {
  const attributes = {
    metric: { data: { type: 'metric', attributes: { name: 'post_purchase_ready' } } },
    profile: { data: { type: 'profile', attributes: { email: order.email, external_id: order.customer?.id?.toString() } } },
    properties: { order_id: order.id, capi_event_id: meta.eventId, capi_status: meta.ok ? 'sent' : 'failed' },
  }
  const answer = await fetch(klaviyoUrl(base), { method: 'POST', headers: klaviyoHeaders, body: JSON.stringify({ data: { type: 'event', attributes } }) })
  await answer.text()
}

app.post('/hooks/:shop/shopify', async (request) => {
  const meta = await askMeta(request.body)
  if (!meta.ok) request.log.error('Meta refused %s', meta.eventId)
  await triggerFlow(request.body, meta)
  return 'ok'
})

await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
