// A Fastify server that hands each genuine order, as raw bytes, to `take`.
import Fastify from 'fastify'
import { genuine } from './order.js'

export function serve(take) {
  const app = Fastify({ bodyLimit: 8 << 20 })
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.post('/hooks/:shop/shopify', async (request, reply) => {
    if (!genuine(request.body, request.headers['x-shopify-hmac-sha256'], process.env.SECRET)) return reply.code(401).send({ error: 'unauthorized' })
    await take(request.body, request.headers)
    return { status: 'accepted' }
  })
  return app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
}
