// What every peer does with an order: prove it, and make Meta's and Klaviyo's bodies of it, as their guides show it.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

const sha256 = (text) => createHash('sha256').update(text).digest('hex')
const hashed = (text) => (text ? [sha256(String(text).trim().toLowerCase())] : undefined)
const attribute = (order, name) => order.note_attributes?.find((a) => a.name === name)?.value

export function genuine(raw, signature, secret) {
  const expected = createHmac('sha256', secret).update(raw).digest()
  const given = Buffer.from(signature ?? '', 'base64')
  return given.length === expected.length && timingSafeEqual(given, expected)
}

export function metaBody(order) {
  const address = order.billing_address ?? {}
  return {
    data: [{
      event_name: 'Purchase',
      event_time: Math.floor(Date.parse(order.created_at) / 1000),
      event_id: `ord_${order.id}_purchase`,
      action_source: 'website',
      event_source_url: order.order_status_url,
      user_data: {
        em: hashed(order.email), ph: hashed(address.phone?.replace(/\D/g, '')), fn: hashed(address.first_name), ln: hashed(address.last_name),
        ct: hashed(address.city), zp: hashed(address.zip), country: hashed(address.country_code),
        external_id: hashed(order.customer?.id), client_ip_address: order.client_details?.browser_ip,
        client_user_agent: order.client_details?.user_agent, fbp: attribute(order, '_fbp'), fbc: attribute(order, '_fbc'),
      },
      custom_data: {
        currency: order.currency, value: Number(order.total_price), order_id: String(order.id), content_type: 'product',
        contents: order.line_items.map((i) => ({ id: String(i.variant_id), quantity: i.quantity, item_price: Number(i.price) })),
      },
    }],
  }
}

export function klaviyoBody(order, status) {
  const id = `ord_${order.id}_purchase`
  return {
    data: {
      type: 'event',
      attributes: {
        properties: {
          order_id: String(order.id), capi_event_id: id, capi_status: status,
          items: order.line_items.map((i) => ({ ProductID: String(i.product_id), SKU: i.sku, ProductName: i.title, Quantity: i.quantity, ItemPrice: Number(i.price) })),
        },
        time: order.created_at, value: Number(order.total_price), value_currency: order.currency, unique_id: id,
        metric: { data: { type: 'metric', attributes: { name: 'post_purchase_ready' } } },
        profile: { data: { type: 'profile', attributes: { email: order.email, external_id: String(order.customer?.id),
          first_name: order.customer?.first_name, last_name: order.customer?.last_name } } },
      },
    },
  }
}

export const metaUrl = (base) => `${base}/v25.0/1234567890/events`
export const klaviyoUrl = (base) => `${base}/api/events`
export const metaHeaders = { 'content-type': 'application/json', authorization: 'Bearer EAAtoken' }
export const klaviyoHeaders = { 'content-type': 'application/vnd.api+json', accept: 'application/vnd.api+json', authorization: 'Klaviyo-API-Key pk_test', revision: '2026-07-15' }
