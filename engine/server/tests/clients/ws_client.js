// The ws library of Node against the engine. Prints "ok", or what the market sent, one message a line.
"use strict";

const assert = require("node:assert");
const { once } = require("node:events");
const WebSocket = require("ws");

const PATIENCE_MS = 20_000;

function open(url, options) {
  const client = new WebSocket(url, options);
  client.handshake = once(client, "upgrade");
  client.on("error", (error) => {
    throw error;
  });
  return client;
}

function sizes(size) {
  const text = "µ".repeat(Math.floor(size / 2)) + "x".repeat(size % 2);
  const data = Buffer.from(Uint8Array.from({ length: size }, (_, n) => n % 251));
  return [text, data];
}

async function echo(base) {
  // With true this library offers permessage-deflate, which is also what it does by default.
  for (const perMessageDeflate of [true, false]) {
    const client = open(base + "/echo", { perMessageDeflate });
    await once(client, "open");
    const [response] = await client.handshake;
    assert.strictEqual(response.headers["sec-websocket-extensions"], undefined);
    assert.strictEqual(client.extensions, "");
    for (const size of [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]) {
      for (const message of sizes(size)) {
        client.send(message);
        const [data, isBinary] = await once(client, "message");
        assert.strictEqual(isBinary, typeof message !== "string");
        assert.ok(data.equals(Buffer.from(message)), `${size} bytes`);
      }
    }
    client.send("one ", { fin: false });
    client.send("two", { fin: true });
    assert.strictEqual((await once(client, "message"))[0].toString(), "one two");
    for (const payload of [Buffer.alloc(0), Buffer.from("hello"), Buffer.alloc(125, 0xff)]) {
      client.ping(payload);
      assert.ok((await once(client, "pong"))[0].equals(payload));
    }
    client.pong("unsolicited");
    client.close(4999, "enough");
    const [code, reason] = await once(client, "close");
    assert.deepStrictEqual([code, reason.toString()], [4999, ""]);
  }
  const client = open(base + "/echo");
  await once(client, "open");
  client.close();
  assert.strictEqual((await once(client, "close"))[0], 1005);
  console.log("ok");
}

function take(client, count, got) {
  client.on("message", (data) => {
    got.push(data.toString());
    if (got.length === count) client.close(1000);
  });
}

async function url(base, path, count) {
  const client = open(base + path);
  const got = [];
  take(client, count, got);
  const [code] = await once(client, "close");
  assert.strictEqual(code, 1000);
  console.log(got.join("\n"));
}

async function subscribe(base, names, count) {
  const client = open(base + "/ws");
  // One listener from the start: messages that come in one piece are emitted in one go.
  const got = [];
  take(client, count + 1, got);
  await once(client, "open");
  client.send(JSON.stringify({ method: "SUBSCRIBE", params: names, id: null }));
  await once(client, "close");
  assert.deepStrictEqual(JSON.parse(got.shift()), { result: null, id: null });
  console.log(got.join("\n"));
}

setTimeout(() => {
  throw new Error("no end in time");
}, PATIENCE_MS).unref();
const [what, base, target, count] = process.argv.slice(2);
if (what === "echo") echo(base);
else if (what === "url") url(base, target, Number(count));
else if (what === "subscribe") subscribe(base, target.split("/"), Number(count));
else throw new Error(`unknown: ${what}`);
