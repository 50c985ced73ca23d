"""The exchange's own libraries: binance-sdk-spot, and binance-connector, which went before it. Books are kept by the public
rules from their depth streams and their REST. Prints what tests/interop reads."""

import asyncio
import importlib.metadata
import json
import sys
import time

from binance.spot import Spot as ConnectorRest
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient
from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_sdk_spot.spot import Spot
from book import Book, say, text


def take(name, books, event):
    if event.get("e") == "trade":
        say(client=name, symbol=event["s"], trade=text(event))
    elif event.get("e") == "depthUpdate":
        books[event["s"]].take(event)
    elif event.get("result", 0) is not None:
        say(client=name, fault=text(event))


def connector(host, symbols, seconds):
    name = "binance-connector"
    say(client=name, version=importlib.metadata.version(name))
    rest = ConnectorRest(base_url=f"http://{host}")
    books = {symbol: Book(name, symbol, lambda symbol: rest.depth(symbol, limit=5000)) for symbol in symbols}
    streams = SpotWebsocketStreamClient(
        stream_url=f"ws://{host}", on_message=lambda _, message: take(name, books, json.loads(message))
    )
    for symbol in symbols:
        streams.diff_book_depth(symbol=symbol, speed=100)
        streams.trade(symbol=symbol)
    time.sleep(seconds)
    streams.stop()


async def sdk(host, symbols, seconds):
    name = "binance-sdk-spot"
    say(client=name, version=importlib.metadata.version(name))
    client = Spot(
        config_rest_api=ConfigurationRestAPI(api_key="", api_secret="", base_path=f"http://{host}"),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=f"ws://{host}"),
    )
    known = {symbol.symbol for symbol in client.rest_api.exchange_info().data().symbols}
    assert known.issuperset(symbols), known

    def fetch(symbol):
        depth = client.rest_api.depth(symbol=symbol, limit=5000).data()
        return {"lastUpdateId": depth.last_update_id, "bids": depth.bids, "asks": depth.asks}

    books = {symbol: Book(name, symbol, fetch) for symbol in symbols}
    streams = await client.websocket_streams.create_connection()
    for symbol in symbols:
        for kind in (
            await streams.diff_book_depth(symbol=symbol.lower(), update_speed="100ms"),
            await streams.trade(symbol=symbol.lower()),
        ):
            kind.on("message", lambda event: take(name, books, event.to_dict()))
    await asyncio.sleep(seconds)
    await streams.close_connection(close_session=True)


async def main(host, seconds, symbols):
    both = (sdk(host, symbols, float(seconds)), asyncio.to_thread(connector, host, symbols, float(seconds)))
    await asyncio.gather(*both)


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
