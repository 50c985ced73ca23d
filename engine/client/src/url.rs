//! Where a server is: `ws://host[:port][/base]`, from which both the WebSocket's and the REST addresses follow.

use std::fmt;
use std::str::FromStr;

/// The port of `ws://` where none is given (RFC 6455 section 3).
const WS_PORT_DEFAULT: u16 = 80;

/// A server's address.
///
/// `base` is a path that a proxy may put in front of everything: with `ws://host/feed` the WebSocket is at
/// `/feed/ws/…` and REST at `http://host/feed/api/v3/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host name or address, IPv6 with its brackets.
    host: Box<str>,
    port: u16,
    /// Empty, or starting with `/` and not ending with one.
    base: Box<str>,
}

/// Why a text is no server's URL. The fault is whoever wrote it; each says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// `wss://`.
    #[error("wss:// is not supported yet: use ws://")]
    Tls,
    /// Another scheme, or none.
    #[error("a server's URL starts with ws://, as ws://127.0.0.1:9443, and {url:?} does not")]
    Scheme {
        /// The whole text.
        url: Box<str>,
    },
    /// No host, or one with characters that no host has.
    #[error("{host:?} is no host name or address; an IPv6 address stands in brackets, as ws://[::1]:9443")]
    Host {
        /// What stood in its place.
        host: Box<str>,
    },
    /// The port is no number from 1 to 65535.
    #[error("port {port:?} is no number from 1 to 65535")]
    Port {
        /// What stood in its place.
        port: Box<str>,
    },
    /// A user name, a query or a fragment.
    #[error("a server's URL has no {part}: only host, port and a path that precedes /ws and /api")]
    Excess {
        /// What it must not have.
        part: &'static str,
    },
    /// A blank or a control character in the path.
    #[error("the path {path:?} has a blank or a control character")]
    Path {
        /// The path.
        path: Box<str>,
    },
}

impl Url {
    /// `host:port`, as sockets are opened and as the Host header says.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host as name resolution takes it: an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The request target of `path` (which starts with `/`) on this server.
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The address of `path` (which starts with `/`) over HTTP.
    pub fn http(&self, path: &str) -> String {
        format!("http://{}:{}{}{path}", self.host, self.port, self.base)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| no_scheme(text))?;
        match scheme.to_ascii_lowercase().as_str() {
            "ws" => {}
            "wss" => return Err(UrlError::Tls),
            _ => return Err(no_scheme(text)),
        }
        for (mark, part) in [('?', "query"), ('#', "fragment")] {
            if rest.contains(mark) {
                return Err(UrlError::Excess { part });
            }
        }
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::Excess { part: "user name" });
        }
        if base.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::Path { path: base.into() });
        }
        let (host, port) = split_port(authority);
        if !is_host(host) {
            return Err(UrlError::Host { host: host.into() });
        }
        let port = match port {
            None => WS_PORT_DEFAULT,
            Some(port) => parse_port(port)?,
        };
        Ok(Url {
            host: host.into(),
            port,
            base: without_streams(base).into(),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}:{}{}", self.host, self.port, self.base)
    }
}

fn no_scheme(url: &str) -> UrlError {
    UrlError::Scheme { url: url.into() }
}

/// The colons of an IPv6 address stand before its closing bracket.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let host_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[host_end..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(host_end + colon);
            (host, Some(&port[1..]))
        }
        None => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        }
    }
}

/// A path without what a server's own addresses of streams end in: people paste those.
fn without_streams(base: &str) -> &str {
    let base = base.trim_end_matches('/');
    let base = base
        .strip_suffix("/ws")
        .or_else(|| base.strip_suffix("/stream"))
        .unwrap_or(base);
    base.strip_suffix("/sbe").unwrap_or(base).trim_end_matches('/')
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    // `u16::from_str` takes a leading plus.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(UrlError::Port { port: text.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_both_addresses() {
        let url: Url = "ws://127.0.0.1:9443".parse().unwrap();
        assert_eq!(url.authority(), "127.0.0.1:9443");
        assert_eq!(url.target("/ws/btcusdt@depth"), "/ws/btcusdt@depth");
        assert_eq!(url.http("/api/v3/depth"), "http://127.0.0.1:9443/api/v3/depth");

        for pasted in ["/ws", "/ws/", "/stream", "/sbe/ws", "/sbe/stream/"] {
            let url: Url = format!("ws://127.0.0.1:9443{pasted}").parse().unwrap();
            assert_eq!(url.target("/ws/a@depth"), "/ws/a@depth", "{pasted}");
        }
        let url: Url = "WS://feed.example/market/".parse().unwrap();
        assert_eq!(url.to_string(), "ws://feed.example:80/market");
        assert_eq!(url.target("/ws"), "/market/ws");
        assert_eq!(url.http("/api"), "http://feed.example:80/market/api");

        let url: Url = "ws://[::1]:7".parse().unwrap();
        assert_eq!((url.host(), url.port()), ("::1", 7));
        assert_eq!(url.authority(), "[::1]:7");
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<Url>().unwrap_err().to_string();
        assert_eq!(
            error("wss://x:1"),
            "wss://".to_owned() + " is not supported yet: use ws://"
        );
        for text in ["", "x:1", "http://x", "ws:/x", "://"] {
            assert!(error(text).contains("starts with ws://"), "{text}");
        }
        for text in [
            "ws://",
            "ws://:80",
            "ws:///ws",
            "ws://a b",
            "ws://[1.2.3.4]",
            "ws://[::1",
            "ws://::1",
            "ws://ä",
        ] {
            let error = error(text);
            assert!(
                error.contains("no host name") || error.contains("port"),
                "{text}: {error}"
            );
        }
        for text in ["ws://x:", "ws://x:0", "ws://x:65536", "ws://x:+80", "ws://x:80a"] {
            assert!(error(text).contains("1 to 65535"), "{text}");
        }
        assert!(error("ws://me@x").contains("user name"));
        assert!(error("ws://x/ws?streams=a").contains("query"));
        assert!(error("ws://x/a b").contains("blank"));
    }
}
