// What clients in JavaScript share: a book kept by the exchange's public rules (buffer, fetch the snapshot by REST, apply),
// and the lines that tests/interop reads.
"use strict";

// Levels a side that are shown of a book; all of them every so many events.
const LEVELS = 20;
const WHOLE_EVERY = 10;

const say = (what) => console.log(JSON.stringify(what));

// The levels of a side, best first: bids are side 0.
function sorted(levels, side) {
  return levels.sort((x, y) => (side === 0 ? y[0] - x[0] : x[0] - y[0]));
}

// Takes the events of one symbol; `fetch` gives the REST snapshot of a symbol.
class Book {
  constructor(name, symbol, fetch) {
    Object.assign(this, { name, symbol, fetch, buffer: [], id: undefined, fetching: undefined, applied: 0 });
  }

  take(event) {
    if (this.id !== undefined) return this.apply(event);
    this.buffer.push(event);
    this.fetching ??= this.begin().catch((error) => say({ client: this.name, fault: String(error) }));
  }

  async begin() {
    let snapshot;
    do {
      snapshot = await this.fetch(this.symbol);
    } while (snapshot.lastUpdateId < this.buffer[0].U);
    this.id = snapshot.lastUpdateId;
    this.isFresh = true;
    this.sides = [new Map(snapshot.bids), new Map(snapshot.asks)];
    for (const event of this.buffer) this.apply(event);
  }

  apply({ U: first, u: last, b, a }) {
    if (this.isFresh && last <= this.id) return;
    if (first > this.id + 1 || (first !== this.id + 1 && !this.isFresh)) {
      say({ client: this.name, fault: `${first} to ${last} came behind ${this.id}` });
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
    const [bids, asks] = this.sides.map((levels, side) => {
      const all = sorted([...levels], side);
      return whole ? all : all.slice(0, LEVELS);
    });
    say({ client: this.name, symbol: this.symbol, u: this.id, whole, bids, asks });
  }
}

module.exports = { Book, LEVELS, say, sorted };
