"""The websocket-client library against the engine. Prints "ok", or what the market sent, one message a line."""

import json
import struct
import sys
import threading

import websocket

PATIENCE = 20


def connect(url, **options):
    return websocket.create_connection(url, timeout=PATIENCE, **options)


def echo(base):
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    for options in ({}, {"header": [offer]}, {"skip_utf8_validation": True}):
        client = connect(base + "/echo", **options)
        assert "sec-websocket-extensions" not in client.getheaders(), client.getheaders()
        for size in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20):
            text = "µ" * (size // 2) + "x" * (size % 2)
            client.send(text)
            assert client.recv() == text, size
            data = bytes(n % 251 for n in range(size))
            client.send_binary(data)
            assert client.recv() == data, size
        for payload in (b"", b"hello", b"\x00\xff" * 62):
            client.ping(payload)
            opcode, data = client.recv_data(control_frame=True)
            assert (opcode, data) == (websocket.ABNF.OPCODE_PONG, payload)
        # The closing handshake by hand: this library hides the code that comes back.
        client.send(struct.pack("!H", 3456) + b"enough", websocket.ABNF.OPCODE_CLOSE)
        opcode, data = client.recv_data(control_frame=True)
        assert (opcode, data) == (websocket.ABNF.OPCODE_CLOSE, struct.pack("!H", 3456)), data
        assert client.sock.recv(1) == b"", "the end of the stream follows"
        client.shutdown()
    client = connect(base + "/echo")
    client.close()
    assert not client.connected
    print("ok")


def url(base, path, count):
    """Through the callbacks, as bots use this library."""
    got = []

    def on_message(app, message):
        got.append(message)
        if len(got) == count:
            app.close()

    def on_error(app, error):
        print("error:", error)

    app = websocket.WebSocketApp(base + path, on_message=on_message, on_error=on_error)
    watch = threading.Timer(PATIENCE, app.close)
    watch.start()
    app.run_forever(ping_interval=1, ping_timeout=0.5)
    watch.cancel()
    print("\n".join(got))


def subscribe(base, names, count):
    client = connect(base + "/stream")
    client.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": "a-7"}))
    assert json.loads(client.recv()) == {"result": None, "id": "a-7"}
    for _ in range(count):
        print(client.recv())
    client.close()


match sys.argv[1:]:
    case ["echo", base]:
        echo(base)
    case ["url", base, path, count]:
        url(base, path, int(count))
    case ["subscribe", base, names, count]:
        subscribe(base, names.split("/"), int(count))
    case other:
        sys.exit(f"unknown: {other}")
