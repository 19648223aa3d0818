// Everything within the request: what is answered with 200 has been delivered; nothing is stored.
import { deliver } from './deliver.js'
import { serve } from './server.js'

await serve((raw) => deliver(JSON.parse(raw)))
