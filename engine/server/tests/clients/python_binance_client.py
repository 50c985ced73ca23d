"""python-binance: its DepthCacheManager at both of its cadences, and the sockets of its BinanceSocketManager. Prints
what tests/interop reads."""

import asyncio
import importlib.metadata
import sys
import time

from binance import AsyncClient, BinanceSocketManager, DepthCacheManager
from book import LEVELS, say, text

VERSION = importlib.metadata.version("python-binance")


def side(levels):
    return [[f"{price:.8f}", f"{qty:.8f}"] for price, qty in levels[:LEVELS]]


class Watched(DepthCacheManager):
    """Counts how often the cache is begun, the first time included, and remembers the newest snapshot's id."""

    begun, snapshot_id = 0, None

    async def _init_cache(self):
        self.begun += 1
        await super()._init_cache()
        self.snapshot_id = self._last_update_id


async def books(client, symbol, interval, until):
    name = f"python-binance, DepthCacheManager, {interval or 1000} ms"
    say(client=name, version=VERSION)
    manager = Watched(client, symbol, ws_interval=interval)
    applied = 0
    async with manager:
        while time.monotonic() < until:
            cache = await manager.recv()
            if isinstance(cache, dict):
                raise RuntimeError(cache)
            applied += 1
            # It takes its first snapshot before it connects, so the first event makes it begin again, and is then
            # applied to a book that is newer. It is right again where an event has come up to that book.
            if applied > 1 and manager._last_update_id >= manager.snapshot_id:
                bids, asks = side(cache.get_bids()), side(cache.get_asks())
                say(client=name, symbol=symbol, u=manager._last_update_id, bids=bids, asks=asks)
    say(client=name, resyncs=manager.begun - 1)


async def trades(client, symbol, until):
    name = "python-binance, trade_socket"
    say(client=name, version=VERSION)
    async with BinanceSocketManager(client).trade_socket(symbol) as socket:
        while time.monotonic() < until:
            event = await socket.recv()
            if event["e"] == "error":
                raise RuntimeError(event)
            say(client=name, symbol=symbol, trade=text(event))


async def combined(client, symbols, until):
    name = "python-binance, multiplex_socket"
    say(client=name, version=VERSION)
    streams = [f"{symbol.lower()}@trade" for symbol in symbols]
    async with BinanceSocketManager(client).multiplex_socket(streams) as socket:
        while time.monotonic() < until:
            event = (await socket.recv())["data"]
            say(client=name, symbol=event["s"], trade=text(event))


async def main(host, seconds, symbols):
    # What a user writes to repoint it; everything else stands at its default.
    AsyncClient.API_URL = f"http://{host}/api"
    BinanceSocketManager.STREAM_URL = f"ws://{host}/"
    client = await AsyncClient.create()
    until = time.monotonic() + float(seconds)
    every = [combined(client, symbols, until)]
    for symbol in symbols:
        every += [books(client, symbol, interval, until) for interval in (None, 100)]
        every.append(trades(client, symbol, until))
    try:
        await asyncio.gather(*every)
    finally:
        await client.close_connection()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
