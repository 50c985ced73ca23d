// Libraries for this exchange alone: its own @binance/spot, and binance, binance-api-node and node-binance-api of others.
// The last keeps books itself; for the others they are kept by the public rules, from their depth streams and their REST.
// Prints what tests/interop reads.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { Spot } = require("@binance/spot");
const { MainClient, WebsocketClient } = require("binance");
const ApiNode = require("binance-api-node").default;
const NodeApi = require("node-binance-api");
const { Book, LEVELS, say, sorted } = require("./book.js");

const [host, seconds, ...symbols] = process.argv.slice(2);

function begin(name) {
  // Not all of them let it be required.
  const about = fs.readFileSync(path.join(process.env.NODE_PATH, name, "package.json"));
  say({ client: name, version: JSON.parse(about).version });
}

// The payload of a trade, from its parts.
const trade = (E, s, t, p, q, T, m, M) => JSON.stringify({ e: "trade", E, s, t, p, q, T, m, M });

async function spot(name) {
  begin(name);
  const client = new Spot({
    configurationRestAPI: { apiKey: "", apiSecret: "", basePath: `http://${host}` },
    configurationWebsocketStreams: { wsURL: `ws://${host}` },
  });
  const fetch = async (symbol) => (await client.restAPI.depth({ symbol, limit: 5000 })).data();
  const streams = await client.websocketStreams.connect();
  for (const symbol of symbols) {
    const book = new Book(name, symbol, fetch);
    streams.diffBookDepth({ symbol: symbol.toLowerCase(), updateSpeed: "100ms" }).on("message", (event) => {
      book.take(event);
    });
    streams.trade({ symbol: symbol.toLowerCase() }).on("message", (event) => {
      say({ client: name, symbol, trade: JSON.stringify(event) });
    });
  }
}

async function binance(name) {
  begin(name);
  const rest = new MainClient({ baseUrl: `http://${host}` });
  const fetch = (symbol) => rest.getOrderBook({ symbol, limit: 5000 });
  const books = new Map(symbols.map((symbol) => [symbol, new Book(name, symbol, fetch)]));
  const client = new WebsocketClient({ wsUrl: `ws://${host}` });
  client.on("exception", (error) => say({ client: name, fault: JSON.stringify(error) }));
  client.on("message", ({ e, E, s, t, p, q, T, m, M, ...event }) => {
    if (e === "trade") say({ client: name, symbol: s, trade: trade(E, s, t, p, q, T, m, M) });
    else books.get(s).take(event);
  });
  const streams = symbols.flatMap((symbol) => ["depth@100ms", "trade"].map((kind) => `${symbol.toLowerCase()}@${kind}`));
  await client.subscribe(streams, "main");
}

async function apiNode(name) {
  begin(name);
  const client = ApiNode({ httpBase: `http://${host}`, wsBase: `ws://${host}/ws` });
  const levels = (side) => side.map(({ price, quantity }) => [price, quantity]);
  const fetch = async (symbol) => {
    const { lastUpdateId, bids, asks } = await client.book({ symbol, limit: 5000 });
    return { lastUpdateId, bids: levels(bids), asks: levels(asks) };
  };
  for (const symbol of symbols) {
    const book = new Book(name, symbol, fetch);
    client.ws.depth(`${symbol}@100ms`, ({ firstUpdateId, finalUpdateId, bidDepth, askDepth }) => {
      book.take({ U: firstUpdateId, u: finalUpdateId, b: levels(bidDepth), a: levels(askDepth) });
    });
    client.ws.trades(symbol, (event) => {
      const { eventTime, tradeId, price, quantity, tradeTime, isBuyerMaker, maker } = event;
      const payload = trade(eventTime, symbol, tradeId, price, quantity, tradeTime, isBuyerMaker, maker);
      say({ client: name, symbol, trade: payload });
    });
  }
}

async function nodeApi(name) {
  begin(name);
  const client = new NodeApi().options({
    urls: { base: `http://${host}/api/`, stream: `ws://${host}/ws/`, combineStream: `ws://${host}/stream?streams=` },
  });
  const shown = (levels, side) => {
    const all = Object.entries(levels).map(([price, qty]) => [Number(price).toFixed(8), Number(qty).toFixed(8)]);
    return sorted(all, side).slice(0, LEVELS);
  };
  client.websockets.depthCache(symbols, (symbol, { bids, asks }, context) => {
    // It also tells of the snapshot, and of events that are older: these have changed nothing.
    if (!context?.lastEventUpdateId) return;
    say({ client: name, symbol, u: context.lastEventUpdateId, bids: shown(bids, 0), asks: shown(asks, 1) });
  });
  client.websockets.trades(symbols, (event) => say({ client: name, symbol: event.s, trade: JSON.stringify(event) }));
}

// What they log goes to standard error: standard output is for the lines.
for (const kind of ["info", "debug"]) console[kind] = console.error;
const all = [spot("@binance/spot"), binance("binance"), apiNode("binance-api-node"), nodeApi("node-binance-api")];
Promise.all(all).catch((error) => {
  console.error(error);
  process.exit(1);
});
setTimeout(() => process.exit(0), Number(seconds) * 1000 + 1000);
