"""Reads the engine's REST answers in SBE by the public schema, and compares each with the answer in JSON.

    sbe_rest.py BASE SCHEMA SYMBOL

The market must stand still meanwhile. Prints a line for each answer that was compared.
"""

import json
import sys
import urllib.error
import urllib.request

import sbe

from sbe_schema import Schema

BASE, SCHEMA_PATH, SYMBOL = sys.argv[1:4]
SCHEMA = Schema(SCHEMA_PATH)
SBE = {"Accept": "application/sbe", "X-MBX-SBE": "3:4"}


def get(path, headers):
    request = urllib.request.Request(BASE + path, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def renamed(content, names):
    return {names.get(key, key): value for key, value in content.items()}


def ms(us):
    return -1 if us == -1 else us // 1000


def depth(content, expected):
    side = lambda levels: [[level["price"], level["qty"]] for level in levels]
    got = {
        "lastUpdateId": content["lastUpdateId"],
        "bids": side(content["bids"]),
        "asks": side(content["asks"]),
    }
    assert expected["bids"] and expected["asks"]
    return got


def trades(content, _):
    return [{**trade, "time": ms(trade["time"])} for trade in content["trades"]]


def agg_trades(content, _):
    names = {
        "aggTradeId": "a",
        "price": "p",
        "qty": "q",
        "firstTradeId": "f",
        "lastTradeId": "l",
        "time": "T",
        "isBuyerMaker": "m",
        "isBestMatch": "M",
    }
    return [renamed({**trade, "time": ms(trade["time"])}, names) for trade in content["aggTrades"]]


def klines(content, _):
    def row(kline):
        kline = {**kline, "openTime": ms(kline["openTime"]), "closeTime": ms(kline["closeTime"])}
        return [*kline.values(), "0"]

    return [row(kline) for kline in content["klines"]]


def average_price(content, _):
    return {"mins": content["mins"], "price": content["price"], "closeTime": ms(content["closeTime"])}


def ticker(content, expected):
    content = renamed(content, {"numTrades": "count"})
    for key in ("priceExponent", "qtyExponent"):
        content.pop(key, None)
    for key in ("openTime", "closeTime"):
        if key in content:
            content[key] = ms(content[key])
    if "priceChangePercent" in content:
        percent = float(expected["priceChangePercent"])
        assert abs(content["priceChangePercent"] - percent) < 1e-5, (content, expected)
        content["priceChangePercent"] = expected["priceChangePercent"]
    return content


def tickers(content, expected):
    return [ticker(it, other) for it, other in zip(content["tickers"], expected, strict=True)]


def server_time(content, expected):
    assert abs(content["serverTime"] // 1000 - expected["serverTime"]) < 60_000
    return expected


def exchange_info(content, expected):
    """Everything that SBE has of it; what it has not is taken from the JSON."""
    got = dict(expected)
    limits = content["rateLimits"]
    got["rateLimits"] = [renamed(limit, {"rateLimit": "limit"}) for limit in limits]
    assert content["exchangeFilters"] == [] and content["sors"] == []
    got["symbols"] = []
    for symbol, other in zip(content["symbols"], expected["symbols"], strict=True):
        filters = [it["filter"] for it in symbol.pop("filters")]
        names = [it["filterType"] for it in other["filters"]]
        assert len(filters) == len(names)
        for one, theirs in zip(filters, other["filters"]):
            values = {key: value for key, value in one.items() if not key.endswith("Exponent")}
            values = renamed(values, {"filterLimit": "limit"})
            for key, value in values.items():
                told = theirs[key]
                same = float(told) == float(value) if isinstance(value, str) else told == value
                assert same, (one, theirs)
        sets = symbol.pop("permissionSets")
        symbol["permissionSets"] = [[it["permission"] for it in one["permissions"]] for one in sets]
        symbol["allowedSelfTradePreventionModes"] = sorted(symbol["allowedSelfTradePreventionModes"])
        symbol["orderTypes"] = sorted(symbol["orderTypes"])
        compared = {**other, "orderTypes": sorted(other["orderTypes"]), **symbol}
        compared["orderTypes"] = other["orderTypes"] if symbol["orderTypes"] == sorted(other["orderTypes"]) else None
        got["symbols"].append(compared)
    return got


ANSWERS = [
    ("/api/v3/ping", "PingResponse", lambda content, _: content),
    ("/api/v3/time", "ServerTimeResponse", server_time),
    ("/api/v3/exchangeInfo", "ExchangeInfoResponse", exchange_info),
    (f"/api/v3/exchangeInfo?symbol={SYMBOL}", "ExchangeInfoResponse", exchange_info),
    (f"/api/v3/depth?symbol={SYMBOL}", "DepthResponse", depth),
    (f"/api/v3/depth?symbol={SYMBOL}&limit=5000", "DepthResponse", depth),
    (f"/api/v3/trades?symbol={SYMBOL}&limit=1000", "TradesResponse", trades),
    (f"/api/v3/aggTrades?symbol={SYMBOL}&limit=1000", "AggTradesResponse", agg_trades),
    (f"/api/v3/klines?symbol={SYMBOL}&interval=1s&limit=1000", "KlinesResponse", klines),
    (f"/api/v3/klines?symbol={SYMBOL}&interval=1m", "KlinesResponse", klines),
    (f"/api/v3/avgPrice?symbol={SYMBOL}", "AveragePriceResponse", average_price),
    (f"/api/v3/ticker/24hr?symbol={SYMBOL}", "Ticker24hSymbolFullResponse", ticker),
    ("/api/v3/ticker/24hr", "Ticker24hFullResponse", tickers),
    (f"/api/v3/ticker/24hr?symbol={SYMBOL}&type=MINI", "Ticker24hSymbolMiniResponse", ticker),
    ("/api/v3/ticker/24hr?type=MINI", "Ticker24hMiniResponse", tickers),
    (f"/api/v3/ticker/price?symbol={SYMBOL}", "PriceTickerSymbolResponse", ticker),
    ("/api/v3/ticker/price", "PriceTickerResponse", tickers),
    (f"/api/v3/ticker/bookTicker?symbol={SYMBOL}", "BookTickerSymbolResponse", ticker),
    ("/api/v3/ticker/bookTicker", "BookTickerResponse", tickers),
    ("/api/v3/ticker/24hr?type=MINI&symbolStatus=HALT", "Ticker24hMiniResponse", tickers),
    ("/api/v3/ticker/price?symbolStatus=HALT", "PriceTickerResponse", tickers),
    (f"/api/v3/exchangeInfo?symbol={SYMBOL}&showPermissionSets=false", "ExchangeInfoResponse", exchange_info),
]

ERRORS = ["/api/v3/depth?symbol=NOSUCH", "/api/v3/depth", "/api/v3/klines?symbol=BTCUSDT&interval=1y"]


def main():
    for path, name, as_json in ANSWERS:
        _, _, body = get(path, {})
        expected = json.loads(body)
        status, headers, message = get(path, SBE)
        assert (status, headers["Content-Type"]) == (200, "application/sbe"), (path, status, headers["Content-Type"])
        got_name, content = SCHEMA.decode(message)
        assert got_name == name, (path, got_name)
        got = as_json(content, expected)
        assert got == expected, (path, got, expected)
        print(name, len(message), len(body))
    for path in ERRORS:
        json_status, _, body = get(path, {})
        expected = json.loads(body)
        status, _, message = get(path, SBE)
        name, content = SCHEMA.decode(message)
        assert (status, name) == (json_status, "ErrorResponse"), (path, status, name)
        assert (content["code"], content["msg"]) == (expected["code"], expected["msg"]), (content, expected)
        print(name, content["code"])
    # And by a package that others wrote, as far as it reads the schema: flat messages and groups.
    package = sbe.Schema.parse(open(SCHEMA_PATH))
    _, _, message = get(f"/api/v3/depth?symbol={SYMBOL}&limit=5000", SBE)
    theirs = package.decode(message).value
    _, ours = SCHEMA.decode(message)
    assert theirs["lastUpdateId"] == ours["lastUpdateId"]
    for side in ("bids", "asks"):
        assert len(theirs[side]) == len(ours[side]) > 0
    for request, status in [
        ({"Accept": "application/sbe"}, 400),
        ({"Accept": "application/sbe", "X-MBX-SBE": "nonsense"}, 400),
        ({"Accept": "application/sbe", "X-MBX-SBE": "9:9"}, 400),
    ]:
        got, _, message = get("/api/v3/ping", request)
        assert (got, SCHEMA.decode(message)[0]) == (status, "ErrorResponse"), (request, got)
    for request in [
        {"Accept": "application/sbe, application/json"},
        {"Accept": "application/json, application/sbe", "X-MBX-SBE": "1:0"},
    ]:
        got, headers, message = get("/api/v3/ping", request)
        assert (got, message) == (200, b"{}"), (request, got, message)
    print("ok")


main()
