// ccxt's watchOrderBook and watchTrades, over the bases /ws and /stream at once. Prints what tests/interop reads.
"use strict";

const ccxt = require("ccxt");
const { LEVELS, say } = require("./book.js");

const side = (levels) => levels.slice(0, LEVELS).map(([price, qty]) => [price.toFixed(8), qty.toFixed(8)]);

function exchange(host, base) {
  // What a user writes to repoint it; everything else stands at its default.
  const client = new ccxt.pro.binance({ options: { fetchMarkets: ["spot"] } });
  client.urls.api.public = `http://${host}/api/v3`;
  client.urls.api.ws.spot = `ws://${host}${base}`;
  return client;
}

async function books(client, name, market, until) {
  while (Date.now() < until) {
    const book = await client.watchOrderBook(market.symbol);
    say({ client: name, symbol: market.id, u: book.nonce, bids: side(book.bids), asks: side(book.asks) });
  }
}

async function trades(client, name, market, until) {
  while (Date.now() < until) {
    for (const trade of await client.watchTrades(market.symbol)) {
      say({ client: name, symbol: market.id, trade: JSON.stringify(trade.info) });
    }
  }
}

async function watch(host, base, ids, seconds) {
  const name = `ccxt, JavaScript, ${base}`;
  say({ client: name, version: ccxt.version });
  const client = exchange(host, base);
  // It asks for this where a URL is ws:// and not wss://.
  await client.loadHttpProxyAgent();
  await client.loadMarkets();
  const until = Date.now() + seconds * 1000;
  const markets = ids.map((id) => client.market(id));
  await Promise.all(markets.flatMap((market) => [books, trades].map((f) => f(client, name, market, until))));
  await client.close();
}

const [host, seconds, ...ids] = process.argv.slice(2);
Promise.all(["/ws", "/stream"].map((base) => watch(host, base, ids, Number(seconds)))).catch((error) => {
  console.error(error);
  process.exit(1);
});
