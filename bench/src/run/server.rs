//! What is loaded: an engine, or the bare loop.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{Own, RunError};
use crate::control::ChildError;
use crate::limit::order::{LimitOrder, LimitReport};
use crate::limit::{Limit, LimitReady};
use crate::probe::launch::Launched;
use crate::probe::stats::StatsSeries;
use crate::run::options::LoadOptions;

/// How long an engine may take to listen: it reads the head of a recording before.
const LISTEN_PATIENCE: Duration = Duration::from_secs(30);
/// How often an engine says how many of its connections are blocked: as often as it can.
const STATS_INTERVAL: &str = "100ms";
/// How long the bare loop may be silent while connections come in.
const ACCEPT_PATIENCE: Duration = Duration::from_secs(60);

/// Which server a run loads.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// An engine.
    Engine {
        /// Its program.
        program: PathBuf,
        /// More of its flags.
        flags: Vec<String>,
    },
    /// The bare loop, with so many frames in a send; as many as the load has in a flush when None.
    Limit {
        /// Frames in a send.
        frames_per_send: Option<u32>,
    },
}

impl Side {
    /// Its name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Side::Engine { .. } => "engine",
            Side::Limit { .. } => "bare loop",
        }
    }
}

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub(super) enum Server {
    Engine { launched: Launched, address: SocketAddr },
    Limit(Limit),
}

impl Server {
    /// Starts it; it ends with the bench, the bare loop also after `lifetime_s`.
    pub(super) fn start(
        own: &Own,
        load: &LoadOptions,
        side: &Side,
        lifetime_s: u32,
    ) -> Result<Server, RunError> {
        match side {
            Side::Engine { program, flags } => {
                let mut arguments: Vec<String> =
                    ["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--feed"]
                        .map(String::from)
                        .to_vec();
                arguments.push(load.engine_feed()?);
                if let Some(bytes) = load.send_buffer {
                    arguments.extend(["--send-buffer".into(), bytes.to_string()]);
                }
                if let Some(ms) = load.slow.lag_ms {
                    arguments.extend(["--lag-ms".into(), ms.to_string()]);
                }
                arguments.extend(flags.iter().cloned());
                // Whoever wants other stats has none that can be read here.
                if !flags.iter().any(|flag| flag.starts_with("--stats")) {
                    arguments.extend(["--stats".into(), STATS_INTERVAL.into()]);
                }
                let mut launched =
                    Launched::start(&own.program, program, &arguments, Some(load.server_core))?;
                let address = launched.await_address(LISTEN_PATIENCE)?;
                Ok(Server::Engine { launched, address })
            }
            Side::Limit { frames_per_send } => {
                let order = LimitOrder {
                    listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                    connections: load.connections,
                    traffic: load.traffic(*frames_per_send)?,
                    send_buffer: load.send_buffer,
                    core: Some(load.server_core),
                    lifetime_s,
                };
                Ok(Server::Limit(Limit::start(&own.program, &order)?))
            }
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Server::Engine { address, .. } => *address,
            Server::Limit(limit) => limit.address(),
        }
    }

    pub(super) fn id(&self) -> u32 {
        match self {
            Server::Engine { launched, .. } => launched.id(),
            Server::Limit(limit) => limit.id(),
        }
    }

    /// What an engine says of itself.
    pub(super) fn stats(&self) -> Option<StatsSeries> {
        match self {
            Server::Engine { launched, .. } => Some(launched.stats().clone()),
            Server::Limit(_) => None,
        }
    }

    /// All connections are open; the bare loop may begin.
    pub(super) fn go(&mut self) -> Result<(), ChildError> {
        match self {
            Server::Engine { .. } => Ok(()),
            Server::Limit(limit) => {
                let LimitReady { .. } = limit.wait_ready(ACCEPT_PATIENCE, |_| {})?;
                limit.go()
            }
        }
    }

    pub(super) fn begin(&mut self) -> Result<(), ChildError> {
        match self {
            Server::Engine { .. } => Ok(()),
            Server::Limit(limit) => limit.begin(),
        }
    }

    /// What it counted itself; an engine is looked at from outside alone.
    pub(super) fn report(&mut self) -> Result<Option<LimitReport>, ChildError> {
        match self {
            Server::Engine { .. } => Ok(None),
            Server::Limit(limit) => limit.report().map(Some),
        }
    }

    /// Ends it. Gives how an engine ended and the last that it said, for people.
    pub(super) fn end(self) -> String {
        match self {
            Server::Engine { launched, .. } => {
                let said = launched.said();
                let lines: String = said.iter().map(|line| format!("\n  {line}")).collect();
                format!(" {}{lines}", launched.end())
            }
            Server::Limit(limit) => {
                limit.end();
                String::new()
            }
        }
    }
}
