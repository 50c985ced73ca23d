//! An HTTP client that keeps its connection and sees exactly what came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::common::raw::PATIENCE;

/// A connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) version: String,
    pub(crate) status: u16,
    /// In order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The one header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(other, _)| other == name);
        let one = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "{name} twice in {:?}", self.headers);
        one
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self
            .header(name)
            .unwrap_or_else(|| panic!("{name} in {:?}", self.headers));
        value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the engine takes connections");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Client {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn get(&mut self, target: &str) -> Seen {
        self.ask("GET", target, "")
    }

    /// Asks, with further header lines, each with its end of line.
    pub(crate) fn ask(&mut self, method: &str, target: &str, more: &str) -> Seen {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").as_bytes());
        self.answer(method == "HEAD")
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream
            .get_mut()
            .write_all(bytes)
            .expect("the engine takes what is sent");
    }

    /// The next answer; that to a HEAD has no body whatever its length says.
    pub(crate) fn answer(&mut self, is_to_head: bool) -> Seen {
        let status_line = self.line().expect("an answer");
        let (version, rest) = status_line.split_once(' ').expect("a status line");
        let mut seen = Seen {
            version: version.into(),
            status: rest[..3].parse().expect("a status"),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line().expect("a whole head");
            let Some((name, value)) = line.split_once(':') else {
                assert_eq!(line, "");
                break;
            };
            seen.headers
                .push((name.to_ascii_lowercase(), value.trim().into()));
        }
        if !is_to_head && seen.status != 204 {
            let length = seen.number("content-length") as usize;
            seen.body = vec![0; length];
            self.stream.read_exact(&mut seen.body).expect("a whole body");
        }
        seen
    }

    /// Nothing more comes.
    pub(crate) fn ends(&mut self) -> bool {
        self.line().is_none()
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).expect("an answer, or an end");
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_string())
    }
}
