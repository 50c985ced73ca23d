"""Books and trades with the websockets library at its defaults. Prints what tests/interop reads."""

import asyncio
import json
import sys
import time
import urllib.request

import websockets
from book import Book, say


async def watch(host, path, symbols, seconds, cadence):
    name = f"websockets, {path}{cadence}"
    say(client=name, version=websockets.__version__)
    streams = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in (f"depth{cadence}", "trade")]
    url = f"ws://{host}{path}"
    if path == "/stream":
        url += "?streams=" + "/".join(streams)

    def fetch(symbol):
        with urllib.request.urlopen(f"http://{host}/api/v3/depth?symbol={symbol}&limit=5000") as answer:
            return json.load(answer)

    books = {symbol: Book(name, symbol, fetch) for symbol in symbols}
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


async def main(host, seconds, symbols):
    cases = [("/ws", "@100ms"), ("/stream", ""), ("/stream", "@0ms")]
    await asyncio.gather(*(watch(host, path, symbols, float(seconds), cadence) for path, cadence in cases))


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
