"""The websockets library against the engine. Prints "ok", or what the market sent, one message a line."""

import json
import sys

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.sync.client import connect

PATIENCE = 20


def echo(base):
    # By default this library offers permessage-deflate; the engine declines by not naming it.
    with connect(base + "/echo", max_size=None) as client:
        assert client.request.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        assert client.protocol.extensions == []
        for size in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20):
            for message in ("µ" * (size // 2) + "x" * (size % 2), bytes(n % 251 for n in range(size))):
                client.send(message)
                assert client.recv(PATIENCE) == message, size
        # A message in fragments: this library sends one for each item.
        client.send(["one ", "two ", "", "three"])
        assert client.recv(PATIENCE) == "one two three"
        for payload in (b"", b"hello", b"\x00\xff" * 62):
            assert client.ping(payload).wait(PATIENCE), payload
        client.pong(b"unsolicited")
        client.close(code=4321, reason="enough")
        assert (client.close_code, client.close_reason) == (4321, ""), client.protocol
    with connect(base + "/echo") as client:
        client.send(b"\x00" * (16 * 1024 * 1024 + 1))
        try:
            client.recv(PATIENCE)
        except ConnectionClosedError as error:
            assert error.rcvd.code == 1009 and "16777216" in error.rcvd.reason, error
        else:
            raise AssertionError("a message over the limit came back")
    # Compression turned off, and a server that is closed with no code.
    with connect(base + "/echo", compression=None) as client:
        client.send("x" * 1000)
        assert client.recv(PATIENCE) == "x" * 1000
    print("ok")


def take(client, count):
    for _ in range(count):
        print(client.recv(PATIENCE))


def url(base, path, count):
    with connect(base + path) as client:
        take(client, count)
        try:
            while True:
                print("too much:", client.recv(0.3))
        except TimeoutError:
            pass
        client.close()
        assert client.close_code == 1000


def subscribe(base, names, count):
    with connect(base + "/ws") as client:
        client.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 7}))
        # The reply comes before the first event.
        assert json.loads(client.recv(PATIENCE)) == {"result": None, "id": 7}
        take(client, count)


def until_closed(base, path):
    with connect(base + path) as client:
        try:
            while True:
                print(client.recv(PATIENCE))
        except (ConnectionClosedError, ConnectionClosedOK) as end:
            print(end.rcvd.code, end.rcvd.reason)


match sys.argv[1:]:
    case ["echo", base]:
        echo(base)
    case ["url", base, path, count]:
        url(base, path, int(count))
    case ["subscribe", base, names, count]:
        subscribe(base, names.split("/"), int(count))
    case ["until-closed", base, path]:
        until_closed(base, path)
    case other:
        sys.exit(f"unknown: {other}")
