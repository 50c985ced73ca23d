"""ccxt's watchOrderBook and watchTrades, over the bases /ws and /stream at once. Prints what tests/interop reads."""

import asyncio
import sys
import time

import ccxt.pro
from book import LEVELS, say, text


def side(levels):
    return [[f"{price:.8f}", f"{qty:.8f}"] for price, qty in levels[:LEVELS]]


def exchange(host, base):
    # What a user writes to repoint it; everything else stands at its default.
    client = ccxt.pro.binance({"options": {"fetchMarkets": ["spot"]}})
    client.urls["api"]["public"] = f"http://{host}/api/v3"
    client.urls["api"]["ws"]["spot"] = f"ws://{host}{base}"
    return client


async def books(client, name, market, until):
    while time.monotonic() < until:
        book = await client.watch_order_book(market["symbol"])
        say(client=name, symbol=market["id"], u=book["nonce"], bids=side(book["bids"]), asks=side(book["asks"]))


async def trades(client, name, market, until):
    while time.monotonic() < until:
        for trade in await client.watch_trades(market["symbol"]):
            say(client=name, symbol=market["id"], trade=text(trade["info"]))


async def watch(host, base, ids, seconds):
    name = f"ccxt, Python, {base}"
    say(client=name, version=ccxt.__version__)
    client = exchange(host, base)
    try:
        await client.load_markets()
        markets = [client.market(id) for id in ids]
        until = time.monotonic() + seconds
        await asyncio.gather(*(f(client, name, market, until) for market in markets for f in (books, trades)))
    finally:
        await client.close()


async def main(host, seconds, ids):
    await asyncio.gather(*(watch(host, base, ids, float(seconds)) for base in ("/ws", "/stream")))


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
