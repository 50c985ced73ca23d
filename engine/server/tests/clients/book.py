"""What clients in Python share: a book kept by the exchange's public rules (buffer, fetch the snapshot by REST, apply),
and the lines that tests/interop reads."""

import json
import threading

# Levels a side that are shown of a book; all of them every so many events.
LEVELS = 20
WHOLE_EVERY = 10


# One thread at a time: a whole book is written in pieces.
SAYING = threading.Lock()


def say(**what):
    with SAYING:
        print(json.dumps(what, separators=(",", ":")), flush=True)


def text(event):
    """An event as it was written."""
    return json.dumps(event, separators=(",", ":"))


class Book:
    """Takes the events of one symbol; `fetch` gives the REST snapshot of a symbol."""

    def __init__(self, name, symbol, fetch):
        self.name, self.symbol, self.fetch = name, symbol, fetch
        self.lock, self.buffer, self.id, self.fetching, self.applied = threading.Lock(), [], None, None, 0

    def take(self, event):
        with self.lock:
            if self.id is not None:
                return self.apply(event)
            self.buffer.append(event)
            if self.fetching is None:
                self.fetching = threading.Thread(target=self.begin)
                self.fetching.start()

    def begin(self):
        try:
            snapshot = self.fetch(self.symbol)
            while snapshot["lastUpdateId"] < self.buffer[0]["U"]:
                snapshot = self.fetch(self.symbol)
        except Exception as error:
            say(client=self.name, fault=repr(error))
            raise
        with self.lock:
            self.id, self.is_fresh = snapshot["lastUpdateId"], True
            self.sides = [dict(map(tuple, snapshot[side])) for side in ("bids", "asks")]
            for event in self.buffer:
                self.apply(event)

    def apply(self, event):
        first, last = event["U"], event["u"]
        if self.is_fresh and last <= self.id:
            return
        if first > self.id + 1 or (first != self.id + 1 and not self.is_fresh):
            say(client=self.name, fault=f"{first} to {last} came behind {self.id}")
        for side, levels in zip(self.sides, (event["b"], event["a"])):
            for price, qty in levels:
                if float(qty) == 0:
                    side.pop(price, None)
                else:
                    side[price] = qty
        self.id, self.is_fresh = last, False
        self.applied += 1
        self.show(self.applied % WHOLE_EVERY == 0)

    def show(self, is_whole):
        levels = None if is_whole else LEVELS
        bids, asks = (sorted(side.items(), key=lambda level: float(level[0])) for side in self.sides)
        bids.reverse()
        say(client=self.name, symbol=self.symbol, u=self.id, whole=is_whole, bids=bids[:levels], asks=asks[:levels])
