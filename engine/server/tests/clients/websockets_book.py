"""Books kept by the exchange's public rules with the websockets library at its defaults: subscribe, buffer, fetch the
snapshot by REST, apply. Prints what tests/interop reads."""

import asyncio
import json
import sys
import time
import urllib.request

import websockets

# Levels a side that are shown of a book; all of them every so many events.
LEVELS = 20
WHOLE_EVERY = 10


def say(**what):
    print(json.dumps(what, separators=(",", ":")), flush=True)


def fetch(host, symbol):
    with urllib.request.urlopen(f"http://{host}/api/v3/depth?symbol={symbol}&limit=5000") as answer:
        return json.load(answer)


class Book:
    def __init__(self, host, name, symbol):
        self.host, self.name, self.symbol = host, name, symbol
        self.buffer, self.id, self.fetching, self.applied = [], None, None, 0

    def take(self, event):
        if self.id is None:
            self.buffer.append(event)
            if self.fetching is None:
                self.fetching = asyncio.create_task(self.begin())
        else:
            self.apply(event)

    async def begin(self):
        while True:
            snapshot = await asyncio.to_thread(fetch, self.host, self.symbol)
            if snapshot["lastUpdateId"] >= self.buffer[0]["U"]:
                break
        self.id, self.is_fresh = snapshot["lastUpdateId"], True
        self.bids, self.asks = dict(snapshot["bids"]), dict(snapshot["asks"])
        for event in self.buffer:
            self.apply(event)

    def apply(self, event):
        first, last = event["U"], event["u"]
        if self.is_fresh:
            if last <= self.id:
                return
            if first > self.id + 1:
                raise RuntimeError(f"the snapshot is of {self.id}, the first event of {first} to {last}")
        elif first != self.id + 1:
            raise RuntimeError(f"{first} to {last} came behind {self.id}")
        for side, levels in ((self.bids, event["b"]), (self.asks, event["a"])):
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
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))[:levels]
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))[:levels]
        say(client=self.name, symbol=self.symbol, u=self.id, whole=is_whole, bids=bids, asks=asks)


async def watch(host, path, symbols, seconds, cadence):
    name = f"websockets, {path}{cadence}"
    say(client=name, version=websockets.__version__)
    streams = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in (f"depth{cadence}", "trade")]
    url = f"ws://{host}{path}"
    if path == "/stream":
        url += "?streams=" + "/".join(streams)
    books = {symbol: Book(host, name, symbol) for symbol in symbols}
    async with websockets.connect(url) as socket:
        if path == "/ws":
            await socket.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
            assert json.loads(await socket.recv()) == {"result": None, "id": 1}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            text = await socket.recv()
            event = json.loads(text)
            if path == "/stream":
                text = text.removeprefix(f'{{"stream":"{event["stream"]}","data":').removesuffix("}")
                event = event["data"]
            if event["e"] == "trade":
                say(client=name, symbol=event["s"], trade=text)
            else:
                books[event["s"]].take(event)
    await asyncio.gather(*(book.fetching for book in books.values()))


async def main(host, seconds, symbols):
    cases = [("/ws", "@100ms"), ("/stream", ""), ("/stream", "@0ms")]
    await asyncio.gather(*(watch(host, path, symbols, float(seconds), cadence) for path, cadence in cases))


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
