// Books kept by the exchange's public rules with the ws library at its defaults: subscribe, buffer, fetch the snapshot by
// REST, apply. Prints what tests/interop reads.
"use strict";

const WebSocket = require("ws");
const { version } = require("ws/package.json");

// Levels a side that are shown of a book; all of them every so many events.
const LEVELS = 20;
const WHOLE_EVERY = 10;

const say = (what) => console.log(JSON.stringify(what));

class Book {
  constructor(host, name, symbol) {
    Object.assign(this, { host, name, symbol, buffer: [], id: undefined, fetching: undefined, applied: 0 });
  }

  take(event) {
    if (this.id !== undefined) return this.apply(event);
    this.buffer.push(event);
    this.fetching ??= this.begin();
  }

  async begin() {
    let snapshot;
    do {
      snapshot = await (await fetch(`http://${this.host}/api/v3/depth?symbol=${this.symbol}&limit=5000`)).json();
    } while (snapshot.lastUpdateId < this.buffer[0].U);
    this.id = snapshot.lastUpdateId;
    this.isFresh = true;
    this.sides = [new Map(snapshot.bids), new Map(snapshot.asks)];
    for (const event of this.buffer) this.apply(event);
  }

  apply({ U: first, u: last, b, a }) {
    if (this.isFresh) {
      if (last <= this.id) return;
      if (first > this.id + 1) throw new Error(`the snapshot is of ${this.id}, the first event of ${first} to ${last}`);
    } else if (first !== this.id + 1) {
      throw new Error(`${first} to ${last} came behind ${this.id}`);
    }
    [b, a].forEach((levels, side) => {
      for (const [price, qty] of levels) {
        if (Number(qty) === 0) this.sides[side].delete(price);
        else this.sides[side].set(price, qty);
      }
    });
    this.id = last;
    this.isFresh = false;
    this.applied += 1;
    this.show(this.applied % WHOLE_EVERY === 0);
  }

  show(whole) {
    const [bids, asks] = this.sides.map((side, place) => {
      const levels = [...side].sort((x, y) => (place === 0 ? y[0] - x[0] : x[0] - y[0]));
      return whole ? levels : levels.slice(0, LEVELS);
    });
    say({ client: this.name, symbol: this.symbol, u: this.id, whole, bids, asks });
  }
}

function watch(host, path, symbols, seconds, cadence) {
  const name = `ws, ${path}${cadence}`;
  say({ client: name, version });
  const streams = symbols.flatMap((symbol) =>
    [`depth${cadence}`, "trade"].map((kind) => `${symbol.toLowerCase()}@${kind}`),
  );
  const books = new Map(symbols.map((symbol) => [symbol, new Book(host, name, symbol)]));
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
