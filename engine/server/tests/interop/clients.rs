//! The clients: whose script each is, under which names it reports, and how much it has to report at the least.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::common::program::run;
use crate::common::{node, python};

/// Starting is most of it: a library of all exchanges, beside all the others on a small machine.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// One way of a client to watch a market.
#[derive(Debug)]
pub(super) struct Way {
    /// The name that its lines have.
    pub(super) name: &'static str,
    /// Books of a symbol that it has to show; 0 where it keeps none.
    pub(super) books_min: u64,
    /// Whether it shows trades.
    pub(super) trades: bool,
    /// How often it may begin a book anew.
    pub(super) resyncs_max: u64,
}

/// A script and its ways.
#[derive(Debug)]
pub(super) struct Client {
    command: fn(&[&str]) -> Command,
    /// What it reports on.
    pub(super) ways: &'static [Way],
}

/// What a client wrote.
#[derive(Debug)]
pub(super) struct Said {
    /// Who.
    pub(super) client: &'static Client,
    /// Its lines.
    pub(super) text: String,
}

const fn way(name: &'static str, books_min: u64, trades: bool) -> Way {
    Way {
        name,
        books_min,
        trades,
        resyncs_max: 0,
    }
}

/// Half of what ten seconds of a cadence of 1000 ms, or of 100 ms, or of every event have.
const OF_1000_MS: u64 = 5;
const OF_100_MS: u64 = 50;

const CLIENTS: &[Client] = &[
    Client {
        command: |arguments| python::client("ccxt_client.py", arguments),
        ways: &[
            way("ccxt, Python, /ws", OF_100_MS, true),
            way("ccxt, Python, /stream", OF_100_MS, true),
        ],
    },
    Client {
        command: |arguments| node::client("ccxt_client.js", arguments),
        ways: &[
            way("ccxt, JavaScript, /ws", OF_100_MS, true),
            way("ccxt, JavaScript, /stream", OF_100_MS, true),
        ],
    },
    Client {
        command: |arguments| python::client("python_binance_client.py", arguments),
        ways: &[
            // It takes its first snapshot before it connects.
            Way {
                resyncs_max: 1,
                ..way("python-binance, DepthCacheManager, 1000 ms", OF_1000_MS, false)
            },
            Way {
                resyncs_max: 1,
                ..way("python-binance, DepthCacheManager, 100 ms", OF_100_MS, false)
            },
            way("python-binance, trade_socket", 0, true),
            way("python-binance, multiplex_socket", 0, true),
        ],
    },
    Client {
        command: |arguments| python::exchange_client("binance_clients.py", arguments),
        ways: &[
            way("binance-sdk-spot", OF_100_MS, true),
            way("binance-connector", OF_100_MS, true),
        ],
    },
    Client {
        command: |arguments| node::client("binance_clients.js", arguments),
        ways: &[
            way("@binance/spot", OF_100_MS, true),
            way("binance", OF_100_MS, true),
            way("binance-api-node", OF_100_MS, true),
            way("node-binance-api", OF_100_MS, true),
        ],
    },
    Client {
        command: |arguments| python::client("websockets_book.py", arguments),
        ways: &[
            way("websockets, /ws@100ms", OF_100_MS, true),
            way("websockets, /stream", OF_1000_MS, true),
            way("websockets, /stream@0ms", OF_100_MS, true),
        ],
    },
    Client {
        command: |arguments| node::client("ws_book.js", arguments),
        ways: &[
            way("ws, /ws@100ms", OF_100_MS, true),
            way("ws, /stream", OF_1000_MS, true),
            way("ws, /stream@0ms", OF_100_MS, true),
        ],
    },
];

/// Installs what is not there yet: a market that plays is not to wait for it.
pub(super) fn install() {
    for client in CLIENTS {
        let _: Command = (client.command)(&[]);
    }
}

/// Runs all clients side by side, each for `watched` from when it has begun.
pub(super) fn run_all(address: SocketAddr, watched: Duration, symbols: &[&str]) -> Vec<Said> {
    let (host, seconds) = (address.to_string(), watched.as_secs().to_string());
    let arguments = [&[host.as_str(), seconds.as_str()], symbols].concat();
    thread::scope(|scope| {
        let running: Vec<_> = CLIENTS
            .iter()
            .map(|client| {
                let arguments = &arguments;
                scope.spawn(move || Said {
                    client,
                    text: run(&mut (client.command)(arguments), START_PATIENCE + watched).stdout,
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a client that ends well"))
            .collect()
    })
}
