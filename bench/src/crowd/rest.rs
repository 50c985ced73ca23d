//! A symbol's book as REST has it (`GET /api/v3/depth` over a connection of its own), and held against what connections' books
//! said at the same id.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use depthcast_market::event::BookSnapshot;
use depthcast_market::instrument::Exponents;

use super::crowds::{Crowd, CrowdError};
use crate::fleet::books::read_snapshot;
use crate::fleet::trail::digest_of;

/// The most levels a side that can be asked for.
const LEVELS_MAX: u32 = 5000;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer taken: two sides of 5,000 levels, of some 40 bytes.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// The time between two books.
const PAUSE: Duration = Duration::from_millis(40);

/// How long events may take from the engine to a crowd when nothing is going on.
const QUIET_PATIENCE: Duration = Duration::from_millis(1500);

/// What came of REST's books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestSeen {
    /// Those that stood at an id at which a connection's book had stood.
    pub compared: u64,
    /// Of those, which said something else.
    pub different: u64,
    /// Why one could not be had.
    pub error: Option<String>,
}

/// The symbol of a stream, in upper case as REST has it.
pub fn symbol_of(stream: &str) -> String {
    stream.split('@').next().unwrap_or(stream).to_uppercase()
}

/// Asks for so many `books`, of the symbols in turn, and holds them against what the books of a crowd said at the same ids.
pub fn compare(
    server: SocketAddr,
    symbols: &[String],
    books: u32,
    crowd: &mut Crowd,
) -> Result<RestSeen, CrowdError> {
    let mut seen = RestSeen::default();
    let mut by_rest = BTreeMap::new();
    for symbol in symbols.iter().cycle().take(books as usize) {
        match book(server, symbol) {
            Ok(book) => {
                by_rest.insert((symbol, book.last_id), digest_of(&book));
            }
            Err(error) => seen.error = Some(error),
        }
        sleep(PAUSE);
    }
    sleep(QUIET_PATIENCE);
    let totals = crowd.report()?;
    for ((symbol, id), said) in by_rest {
        let kept = totals.books.get(&symbol.to_lowercase());
        if let Some(kept) = kept.and_then(|kept| kept.get(&id)) {
            seen.compared += 1;
            seen.different += u64::from(*kept != said);
        }
    }
    Ok(seen)
}

/// The book of `symbol`, in upper case, or why there is none, for people.
pub fn book(server: SocketAddr, symbol: &str) -> Result<BookSnapshot, String> {
    let target = format!("/api/v3/depth?symbol={symbol}&limit={LEVELS_MAX}");
    let said = |what: &dyn std::fmt::Display| format!("GET {target}: {what}");
    let answer = get(server, &target).map_err(|error| said(&error))?;
    let body = body(&answer).map_err(|error| said(&error))?;
    let (_, snapshot) = read_snapshot(body, Exponents::default()).map_err(|error| said(&error))?;
    Ok(snapshot)
}

fn get(server: SocketAddr, target: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The body of an answer that ends with its connection.
fn body(answer: &[u8]) -> Result<&[u8], String> {
    const END: &[u8] = b"\r\n\r\n";
    let head_len = answer
        .windows(END.len())
        .position(|part| part == END)
        .ok_or("the answer is no HTTP")?;
    let status_line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default());
    if status_line.split(' ').nth(1) != Some("200") {
        return Err(status_line.into_owned());
    }
    Ok(&answer[head_len + END.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_follows_the_head() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}"), Ok(&b"{}"[..]));
        assert_eq!(
            body(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
            Err("HTTP/1.1 503 Service Unavailable".into())
        );
        assert_eq!(body(b"hello"), Err("the answer is no HTTP".into()));
    }
}
