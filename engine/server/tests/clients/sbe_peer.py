"""Reads the engine's SBE with a decoder that others wrote, and compares every event with the recorded market.

    sbe_peer.py URL CAPTURE SCHEMA STREAM...

One connection with all streams; URL is its base, as ws://127.0.0.1:9443/sbe. The package `sbe` reads templates 10001 to
10003 by the schema. It gives only the first byte of the symbol and cannot read 10000, so those are read here with
`struct`, from the schema as well. Ends with a line of counts.
"""

import gzip
import json
import struct
import sys
from collections import Counter

import sbe
from websockets.sync.client import connect

SYMBOL = b"\x07BTCUSDT"
EXPONENT = -8
BEST_LEVELS = 20


def digits(decimal):
    """A decimal as the integer that stands before its exponent."""
    whole, fraction = decimal.split(".")
    assert len(fraction) == -EXPONENT, decimal
    return int(whole + fraction)


def level(price, qty):
    return {"price": digits(price), "qty": digits(qty)}


def levels(pairs):
    return [level(price, qty) for price, qty in pairs]


class Book:
    """The book as plain dictionaries of quantities by price."""

    def __init__(self, snapshot):
        self.bids, self.asks = {}, {}
        self.set(snapshot["bids"], snapshot["asks"])

    def set(self, bids, asks):
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            for price, qty in changes:
                if digits(qty) == 0:
                    side.pop(digits(price), None)
                else:
                    side[digits(price)] = digits(qty)

    def top(self):
        def best(side, prices):
            return [{"price": price, "qty": side[price]} for price in prices[:BEST_LEVELS]]

        return {
            "bids": best(self.bids, sorted(self.bids, reverse=True)),
            "asks": best(self.asks, sorted(self.asks)),
        }


class Market:
    """What the streams have to deliver, by template, in order."""

    def __init__(self, capture):
        self.events = {10000: [], 10001: [], 10002: [], 10003: []}
        self.book = None
        self.early = []
        self.newest_us = None
        with gzip.open(capture, "rt") as lines:
            for line in lines:
                at_ns, frame = line.split(" ", 1)
                self.frame(int(at_ns) // 1000, json.loads(frame))

    def frame(self, at_us, frame):
        if "lastUpdateId" in frame:
            self.book = Book(frame)
            for event in self.early:
                if event["u"] > frame["lastUpdateId"]:
                    self.depth(event)
            return
        event = frame["data"]
        if "E" in event:
            self.newest_us = max(self.newest_us or 0, event["E"] * 1000)
        if event.get("e") == "trade":
            self.trade(event)
        elif event.get("e") != "depthUpdate":
            self.best(event, at_us)
        elif self.book is None:
            self.early.append(event)
        else:
            self.depth(event)

    def depth(self, event):
        event_time = {"eventTime": event["E"] * 1000}
        ids = {"firstBookUpdateId": event["U"], "lastBookUpdateId": event["u"]}
        changes = {"bids": levels(event["b"]), "asks": levels(event["a"])}
        self.events[10003].append({**event_time, **ids, **changes})
        self.book.set(event["b"], event["a"])
        self.events[10002].append({**event_time, "bookUpdateId": event["u"], **self.book.top()})

    def trade(self, event):
        times = {"eventTime": event["E"] * 1000, "transactTime": event["T"] * 1000}
        one = {"id": event["t"], **level(event["p"], event["q"]), "isBuyerMaker": event["m"]}
        self.events[10000].append({**times, **one})

    def best(self, event, at_us):
        bid, ask = level(event["b"], event["B"]), level(event["a"], event["A"])
        self.events[10001].append(
            {
                # Its JSON has no time: the newest that the market has told, else when it was received.
                "eventTime": self.newest_us or at_us,
                "bookUpdateId": event["u"],
                "bidPrice": bid["price"],
                "bidQty": bid["qty"],
                "askPrice": ask["price"],
                "askQty": ask["qty"],
            }
        )


def read_trade(message):
    """Template 10000: header, root block of 18 bytes, trades of 25 bytes counted by a u32, symbol."""
    assert struct.unpack_from("<HHHH", message, 0) == (18, 10000, 1, 0)
    event_time, transact_time, price_exponent, qty_exponent = struct.unpack_from("<qqbb", message, 8)
    assert (price_exponent, qty_exponent) == (EXPONENT, EXPONENT)
    assert struct.unpack_from("<HI", message, 26) == (25, 1)
    trade_id, price, qty, is_buyer_maker = struct.unpack_from("<qqqB", message, 32)
    assert is_buyer_maker in (0, 1), is_buyer_maker
    assert message[57:] == SYMBOL, message[57:]
    times = {"eventTime": event_time, "transactTime": transact_time}
    return {**times, "id": trade_id, "price": price, "qty": qty, "isBuyerMaker": bool(is_buyer_maker)}


def read(schema, message):
    """Template and fields of a message."""
    template = struct.unpack_from("<H", message, 2)[0]
    if template == 10000:
        return template, read_trade(message)
    decoded = schema.decode(message)
    assert (decoded.header["schemaId"], decoded.header["version"]) == (1, 0), decoded.header
    fields = dict(decoded.value)
    assert (fields.pop("priceExponent"), fields.pop("qtyExponent")) == (EXPONENT, EXPONENT)
    assert fields.pop("symbol") == {"length": SYMBOL[0], "varData": SYMBOL[1]}
    # Right behind the last field comes the symbol, and behind that nothing.
    groups = [fields[name] for name in ("bids", "asks") if name in fields]
    symbol_at = 8 + decoded.header["blockLength"] + sum(4 + 16 * len(group) for group in groups)
    assert message[symbol_at:] == SYMBOL, message[symbol_at:]
    return template, fields


def main(url, capture, schema_path, *streams):
    expected = Market(capture).events
    with open(schema_path, encoding="utf-8") as file:
        schema = sbe.Schema.parse(file)
    total = sum(map(len, expected.values()))
    with connect(f"{url}/ws/{'/'.join(streams)}") as connection:
        messages = [connection.recv(timeout=60) for _ in range(total)]
    seen = Counter()
    for message in messages:
        assert isinstance(message, bytes), message
        template, fields = read(schema, message)
        wanted = expected[template][seen[template]]
        assert fields == wanted, f"event {seen[template]} of {template}: {fields} is not {wanted}"
        seen[template] += 1
    print(*(f"{template}:{seen[template]}" for template in sorted(expected)))


main(*sys.argv[1:])
