//! Exit codes and output, against a small server that knows one market and sends what a test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use depthcast_market::event::{DepthUpdate, Level};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::http::{UpgradeRequest, parse_request, write_error, write_switching_protocols};
use depthcast_wire::sbe::encode::depth_diff;
use depthcast_wire::ws::{Opcode, write_close, write_frame};

use super::session::watch;
use super::*;

#[derive(Parser)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) watch: WatchOptions,
}

/// The exit code, what was printed, and what was said on standard error; with Ctrl-C after a while, if so wished.
fn run_with(arguments: &str, stop_after_ms: Option<u64>) -> (i32, String, String) {
    let cli = Cli::try_parse_from(std::iter::once("watch").chain(arguments.split(' ')));
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let options = cli.unwrap_or_else(|error| panic!("{error}")).watch;
    let stop = &AtomicBool::new(false);
    let code = std::thread::scope(|scope| {
        if let Some(ms) = stop_after_ms {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(ms));
                stop.store(true, Ordering::Relaxed);
            });
        }
        watch(&options, stop, &mut out, &mut errors)
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(out), text(errors))
}

/// A server of BTCUSDT and ETHUSDT whose snapshot is of id 10, and which sends these updates 20 ms apart, one id each; then it waits,
/// or closes with a code.
pub(super) fn server(ids: impl IntoIterator<Item = u64>, close: Option<u16>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ids: Vec<u64> = ids.into_iter().collect();
    // The thread ends with the test's process: it waits for connections that no longer come.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ids = ids.clone();
            std::thread::spawn(move || serve(stream, &ids, close));
        }
    });
    address
}

fn serve(mut stream: TcpStream, ids: &[u64], close: Option<u16>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut answer = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        let read_len = stream.read(&mut chunk)?;
        head.extend_from_slice(&chunk[..read_len]);
        let Some(request) = parse_request(&head).unwrap() else {
            continue;
        };
        if let UpgradeRequest::Valid { accept_key } = request.upgrade() {
            write_switching_protocols(&mut answer, &accept_key, &[]);
            stream.write_all(&answer)?;
            let symbol = symbol_of(request.target);
            return stream_updates(stream, symbol.unwrap_or("BTCUSDT"), ids, close);
        }
        let symbol = symbol_of(request.target);
        let (status, body) = if request.target.ends_with("/exchangeInfo") {
            (200, r#"{"symbols":[{"symbol":"BTCUSDT"},{"symbol":"ETHUSDT"}]}"#)
        } else if symbol.is_none() {
            (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#)
        } else if request.target.contains("depth") {
            (
                200,
                r#"{"lastUpdateId":10,"bids":[["100.00","1.0"]],"asks":[["101.00","2.0"]]}"#,
            )
        } else {
            let filters = r#"{"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"0.1"}"#;
            let symbol = symbol.unwrap_or_default();
            let body = format!(r#"{{"symbols":[{{"symbol":"{symbol}","filters":[{filters}]}}]}}"#);
            write_error(&mut answer, 200, "OK", &[], &body);
            return stream.write_all(&answer);
        };
        write_error(&mut answer, status, "", &[], body);
        return stream.write_all(&answer);
    }
}

/// Which of the server's symbols a request is about.
fn symbol_of(target: &str) -> Option<&'static str> {
    let target = target.to_ascii_uppercase();
    ["BTCUSDT", "ETHUSDT"]
        .into_iter()
        .find(|symbol| target.contains(symbol))
}

fn stream_updates(
    mut stream: TcpStream,
    symbol: &str,
    ids: &[u64],
    close: Option<u16>,
) -> std::io::Result<()> {
    let exponents = Exponents { price: -2, qty: -1 };
    let instrument = Instrument::new(symbol, exponents, 1, 1).unwrap();
    for &id in ids {
        let update = DepthUpdate {
            event_time_us: 1_000_000_000_000_000 + i64::try_from(id).unwrap() * 20_000,
            first_id: id,
            last_id: id,
            bids: vec![Level {
                price: 10_000,
                qty: 7,
            }],
            asks: Vec::new(),
        };
        let (mut payload, mut frame) = (Vec::new(), Vec::new());
        depth_diff(&mut payload, &instrument, &update).unwrap();
        write_frame(&mut frame, Opcode::Binary, &payload, None);
        stream.write_all(&frame)?;
        std::thread::sleep(Duration::from_millis(20));
    }
    if let Some(code) = close {
        let mut frame = Vec::new();
        write_close(&mut frame, code, "so the test wants it", None);
        stream.write_all(&frame)?;
    }
    // Until the subscriber has left.
    stream.read_to_end(&mut Vec::new()).map(drop)
}

#[test]
fn a_good_market_is_summed_up() {
    let address = server(10..400, None);
    let (code, out, errors) = run_with(
        &format!("btcUSDT --url ws://{address} --for 1200ms --plain"),
        None,
    );
    assert_eq!((code, errors.as_str()), (EXIT_OK, ""), "{out}");
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("in step at id 10 after 1 snapshot"));
    let line = lines.next().unwrap();
    assert!(
        line.starts_with("    1 s  bid 100.00 x 0.7  ask 101.00 x 2.0  spread 1.00  "),
        "{line}"
    );
    assert!(
        line.contains(" updates/s  id ") && line.contains("  latency p50 "),
        "{line}"
    );
    assert_eq!(lines.next(), Some(""));
    let heading = format!("BTCUSDT over 1.2 s from ws://{address}");
    assert_eq!(lines.next(), Some(heading.as_str()));
    for part in [
        "depth updates",
        "best bid/ask            0",
        "trades                  0",
        "gaps                    0",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    assert!(
        out.contains("  book            bid 100.00 x 0.7  ask 101.00 x 2.0  spread 1.00\n"),
        "{out}"
    );
    assert!(
        out.contains("(relative to the fastest event: the feed's clock is "),
        "{out}"
    );
    assert!(out.ends_with(" days behind this host's)\n"), "{out}");
}

#[test]
fn every_update_has_its_line() {
    let address = server(10..20, None);
    let (code, out, _) = run_with(
        &format!("BTCUSDT --url ws://{address} --for 500ms --every-update"),
        None,
    );
    assert_eq!(code, EXIT_OK);
    for id in 11..20 {
        let line =
            format!("update {id} to {id}  1 bids 0 asks  bid 100.00 x 0.7  ask 101.00 x 2.0  spread 1.00\n");
        assert!(out.contains(&line), "{id} is missing in\n{out}");
    }
}

#[test]
fn a_gap_ends_with_its_ids() {
    let address = server((10..15).chain(17..30), None);
    let (code, out, errors) = run_with(&format!("BTCUSDT --url ws://{address} --for 5s"), None);
    assert_eq!(code, EXIT_MARKET);
    assert_eq!(
        errors,
        "depthcast watch: gap: update 17 to 17 does not continue the book: expected it to start at 15\n"
    );
    assert!(out.contains("gaps                    1\n"), "{out}");
}

#[test]
fn no_update_in_time_is_a_stale_market() {
    let address = server([], None);
    let (code, _, errors) = run_with(&format!("BTCUSDT --url ws://{address} --for 300ms"), None);
    assert_eq!(code, EXIT_MARKET);
    assert_eq!(
        errors,
        "depthcast watch: stale market: no depth update of BTCUSDT in 300ms\n"
    );
}

#[test]
fn a_lost_connection_is_made_anew_unless_told_not_to() {
    let address = server(10..15, Some(1012));
    let (code, _, errors) = run_with(
        &format!("BTCUSDT --url ws://{address} --for 5s --no-reconnect"),
        None,
    );
    assert_eq!(code, EXIT_CONNECTION);
    assert_eq!(
        errors,
        "depthcast watch: the server closed the connection: 1012 so the test wants it\n"
    );
    let (_, out, errors) = run_with(&format!("BTCUSDT --url ws://{address} --for 800ms"), None);
    assert!(
        errors.contains("1012 so the test wants it; connecting again in 0."),
        "{errors}"
    );
    assert!(!out.contains("reconnects              0\n"), "{out}");
}

#[test]
fn what_cannot_be_watched() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, errors) = run_with(&format!("BTCUSDT --url ws://{free}"), None);
    assert_eq!((code, out.as_str()), (EXIT_CONNECTION, ""));
    assert!(
        errors.starts_with(&format!("depthcast watch: cannot connect to {free}: ")),
        "{errors}"
    );
    assert!(
        errors.contains("start the engine with `depthcast serve`"),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1);

    let address = server(10..12, None);
    let (code, out, errors) = run_with(&format!("nosuch --url ws://{address}"), None);
    assert_eq!((code, out.as_str()), (EXIT_USAGE, ""));
    assert_eq!(
        errors,
        "depthcast watch: the server does not know the symbol NOSUCH; /api/v3/exchangeInfo there lists those that it has\n"
    );
}

#[test]
fn ctrl_c_ends_with_the_summary() {
    let address = server(10..400, None);
    let (code, out, errors) = run_with(&format!("BTCUSDT --url ws://{address}"), Some(300));
    assert_eq!((code, errors.as_str()), (EXIT_OK, ""));
    assert!(out.contains("BTCUSDT over 0.3 s"), "{out}");
}

#[test]
fn output_that_nobody_reads_ends_quietly() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let address = server(10..400, None);
    let cli = Cli::try_parse_from(["watch", "BTCUSDT", "--url", &format!("ws://{address}")]).unwrap();
    let mut errors = Vec::new();
    let code = watch(&cli.watch, &AtomicBool::new(false), &mut Gone, &mut errors);
    assert_eq!((code, errors.as_slice()), (EXIT_OK, b"".as_slice()));
}

#[test]
fn arguments_are_checked_with_a_reason() {
    for (arguments, reason) in [
        ("btc/usdt", "a symbol is 1 to 20 letters"),
        ("BTCUSDT --url wss://x", "wss:// is not supported yet: use ws://"),
        (
            "BTCUSDT --for 10",
            "give a number and a unit, as 500ms, 10s, 2m or 1h",
        ),
        ("BTCUSDT --for 0s", "above zero"),
        (
            "BTCUSDT --cadence 30ms",
            "0ms, 10ms, 20ms, 50ms, 100ms, 250ms, 500ms, 1000ms",
        ),
        ("BTCUSDT --format xml", "possible values: sbe, json"),
    ] {
        let Err(error) = Cli::try_parse_from(std::iter::once("watch").chain(arguments.split(' '))) else {
            panic!("{arguments} was taken");
        };
        assert_eq!(error.exit_code(), EXIT_USAGE);
        assert!(error.to_string().contains(reason), "{error} has no {reason:?}");
    }
    let cli = Cli::try_parse_from([
        "watch",
        "x",
        "--cadence",
        "250ms",
        "--for",
        "2m",
        "--format",
        "json",
    ]);
    let options = cli.map_err(|error| error.to_string()).unwrap().watch;
    assert_eq!(options.duration, Some(Duration::from_secs(120)));
    assert_eq!(options.subscriber_options().cadence, Some(Cadence::Ms250));
    assert!(options.subscriber_options().reconnect);
}
