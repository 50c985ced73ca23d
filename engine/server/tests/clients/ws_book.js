// Books and trades with the ws library at its defaults. Prints what tests/interop reads.
"use strict";

const WebSocket = require("ws");
const { version } = require("ws/package.json");
const { Book, say } = require("./book.js");

function watch(host, path, symbols, seconds, cadence) {
  const name = `ws, ${path}${cadence}`;
  say({ client: name, version });
  const streams = symbols.flatMap((symbol) =>
    [`depth${cadence}`, "trade"].map((kind) => `${symbol.toLowerCase()}@${kind}`),
  );
  const snapshot = async (symbol) =>
    (await fetch(`http://${host}/api/v3/depth?symbol=${symbol}&limit=5000`)).json();
  const books = new Map(symbols.map((symbol) => [symbol, new Book(name, symbol, snapshot)]));
  const query = path === "/stream" ? `?streams=${streams.join("/")}` : "";
  const socket = new WebSocket(`ws://${host}${path}${query}`);
  socket.on("error", (error) => {
    throw error;
  });
  socket.on("open", () => {
    if (path === "/ws") socket.send(JSON.stringify({ method: "SUBSCRIBE", params: streams, id: 1 }));
    setTimeout(() => socket.close(1000), seconds * 1000);
  });
  socket.on("close", (code) => {
    if (code !== 1000) throw new Error(`closed with ${code}`);
  });
  socket.on("message", (data) => {
    let text = data.toString();
    let event = JSON.parse(text);
    if (path === "/stream") {
      text = text.slice(`{"stream":"${event.stream}","data":`.length, -1);
      event = event.data;
    }
    if (event.e === "trade") say({ client: name, symbol: event.s, trade: text });
    else if (event.e === "depthUpdate") books.get(event.s).take(event);
    else if (event.result !== null || event.id !== 1) throw new Error(text);
  });
}

const [host, seconds, ...symbols] = process.argv.slice(2);
for (const [path, cadence] of [["/ws", "@100ms"], ["/stream", ""], ["/stream", "@0ms"]]) {
  watch(host, path, symbols, Number(seconds), cadence);
}
