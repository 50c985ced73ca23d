//! The feeder against a small server, and the whole ladder in a real terminal: what it leaves behind, however it ends.
//!
//! For the latter this test program runs itself inside of a pseudo-terminal: [`inside_the_terminal`] is that other side.

mod inside;

use std::net::SocketAddr;

use clap::Parser;
use depthcast_client::SubscriberOptions;
use rustix::process::Signal;

use self::inside::{ENTER, Inside};
use super::picture::Sequence;
use super::*;
use crate::watch::tests::{Cli, server};
use crate::watch::{EXIT_CONNECTION, EXIT_OK};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The arguments of `watch` for the program inside the terminal.
const ARGUMENTS: &str = "DEPTHCAST_TEST_LADDER";

/// Which of its threads is to panic there.
const PANIC: &str = "DEPTHCAST_TEST_PANIC";

fn symbol(text: &str) -> SymbolName {
    SymbolName::new(text).unwrap()
}

fn options(address: SocketAddr) -> SubscriberOptions {
    let url = format!("ws://{address}");
    let arguments = ["watch", "btcusdt", "--url", &url];
    Cli::try_parse_from(arguments)
        .map_err(|error| error.to_string())
        .unwrap()
        .watch
        .subscriber_options()
}

/// A feeder, what it is told, and what it shows.
struct Feeding {
    thread: JoinHandle<Outcome>,
    commands: Sender<Command>,
    slot: Slot,
}

impl Feeding {
    fn start(address: SocketAddr) -> Feeding {
        let subscriber = Subscriber::connect(options(address)).unwrap();
        let (commands, taken) = bounded(COMMANDS_MAX);
        let slot = Slot::default();
        let feeder = Feeder::new(subscriber, options(address), taken, slot.clone());
        Feeding {
            thread: std::thread::spawn(move || feeder.run()),
            commands,
            slot,
        }
    }

    /// The first picture that `wanted` takes.
    fn until(&self, what: &str, wanted: impl Fn(&Picture) -> bool) -> Arc<Picture> {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < PATIENCE {
            match self.slot.take() {
                Some(picture) if wanted(&picture) => return picture,
                Some(picture) => last = Some(picture),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        panic!("no picture {what}; the last was {last:?}");
    }

    fn stop(self) -> Outcome {
        self.commands.send(Command::Stop).unwrap();
        self.thread.join().unwrap()
    }
}

#[test]
fn a_change_of_symbol_subscribes_anew() {
    let feeding = Feeding::start(server(10..2_000, None));
    feeding.commands.send(Command::Levels(5)).unwrap();
    let is_live = |name| {
        move |picture: &Picture| {
            picture.symbol == symbol(name)
                && picture.sequence == Sequence::InStep
                && picture.last_id > Some(11)
        }
    };
    let picture = feeding.until("of BTCUSDT", is_live("BTCUSDT"));
    let prices: Vec<(i64, i64)> = picture.bids.iter().map(|row| (row.price, row.qty)).collect();
    assert_eq!(prices, [(10_000, 7)]);
    feeding.commands.send(Command::Watch(symbol("ETHUSDT"))).unwrap();
    feeding.until("of ETHUSDT", is_live("ETHUSDT"));
    feeding.commands.send(Command::Watch(symbol("NOSUCH"))).unwrap();
    let picture = feeding.until("of NOSUCH", |picture| {
        matches!(picture.sequence, Sequence::Ended { .. })
    });
    assert_eq!(
        picture.sequence,
        Sequence::Ended {
            reason: "the server does not know the symbol NOSUCH".into()
        }
    );
    feeding.commands.send(Command::Watch(symbol("BTCUSDT"))).unwrap();
    feeding.until("of BTCUSDT again", is_live("BTCUSDT"));
    let outcome = feeding.stop();
    assert_eq!(outcome.symbol, symbol("BTCUSDT"));
    assert!(outcome.updates > 0 && outcome.subscriber.is_some());
    assert!(outcome.failed.is_none() && outcome.fault.is_none() && outcome.lost.is_none());
}

#[test]
fn a_gap_is_shown_and_remembered() {
    let feeding = Feeding::start(server((10..15).chain(17..2_000), None));
    let picture = feeding.until("with a gap", |picture| picture.counters.gaps == 1);
    assert!(picture.stale.is_some());
    let Sequence::Broken { reason } = &picture.sequence else {
        panic!("{:?}", picture.sequence);
    };
    assert!(reason.contains("update 17 to 17"), "{reason}");
    let fault = feeding.stop().fault.expect("the gap");
    assert!(matches!(fault, ClientError::Gap(_)), "{fault}");
}

#[test]
fn a_lost_connection_is_shown_while_it_is_made_anew() {
    let feeding = Feeding::start(server(10..20, Some(1012)));
    feeding.until("in step", |picture| picture.sequence == Sequence::InStep);
    let picture = feeding.until("of the loss", |picture| {
        matches!(picture.sequence, Sequence::Reconnecting { .. })
    });
    assert!(picture.counters.reconnects > 0 && picture.stale.is_some());
    feeding.until("in step again", |picture| picture.sequence == Sequence::InStep);
    feeding.stop();
}

/// Does as the environment says; without that it is no test at all.
#[test]
fn inside_the_terminal() {
    match std::env::var(PANIC).as_deref() {
        Ok("own") => {
            let _screen = Screen::enter().unwrap();
            panic!("on purpose");
        }
        Ok(_) => {
            let screen = Screen::enter().unwrap();
            assert!(screen.is_ours());
            let other = std::thread::spawn(|| panic!("on purpose"));
            assert!(other.join().is_err());
            std::process::exit(if screen.is_ours() { 1 } else { 101 });
        }
        Err(_) => {}
    }
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        let arguments = std::iter::once("watch").chain(arguments.split(' '));
        let options = Cli::try_parse_from(arguments)
            .unwrap_or_else(|error| error.exit())
            .watch;
        std::process::exit(crate::watch::run(&options));
    }
}

#[test]
fn keys_work_and_quitting_leaves_a_summary() {
    let address = server(10..2_000, None);
    let mut inside = Inside::watching(&format!("btcusdt --url ws://{address}"));
    inside.await_shown(" BTCUSDT   in step");
    inside.await_shown("spread 1.00  100 ticks");
    inside.press("?");
    inside.await_shown("q Esc Ctrl-C       quit, and print the summary");
    inside.press("x/e");
    inside.await_shown("│ / E▏");
    inside.await_shown(" ETHUSDT ");
    inside.press("th\r");
    inside.await_shown(" ETHUSDT   in step");
    inside.press("-");
    inside.await_shown("depth 9 ");
    inside.press("\u{1b}[D");
    inside.await_shown(" BTCUSDT   in step");
    inside.press("p");
    inside.await_shown(" BTCUSDT    PAUSED   in step");
    inside.press("q");
    let ended = inside.ended();
    assert_eq!(ended.code, Some(EXIT_OK), "{}", ended.text);
    let after = ended.after();
    assert!(
        after.contains("BTCUSDT over ") && after.contains("  depth updates "),
        "{after}"
    );
}

#[test]
fn a_signal_and_the_time_end_it_cleanly() {
    let address = server(10..2_000, None);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let inside = Inside::watching(&format!("btcusdt --url ws://{address}"));
        inside.await_shown(" BTCUSDT   in step");
        inside.signal(signal);
        let ended = inside.ended();
        assert_eq!(ended.code, Some(EXIT_OK), "{signal:?}: {}", ended.text);
        assert!(ended.after().contains("BTCUSDT over "), "{}", ended.text);
    }
    let ended = Inside::watching(&format!("btcusdt --url ws://{address} --for 1500ms")).ended();
    assert_eq!(ended.code, Some(EXIT_OK), "{}", ended.text);
    assert!(ended.after().contains("BTCUSDT over 1.5 s"), "{}", ended.text);
}

#[test]
fn it_ends_with_a_terminal_that_goes_away() {
    let address = server(10..2_000, None);
    assert!(Inside::ends_with_its_terminal(&format!(
        "btcusdt --url ws://{address}"
    )));
}

#[test]
fn an_error_is_told_when_the_terminal_is_back() {
    let address = server(10..30, Some(1012));
    let ended = Inside::watching(&format!("btcusdt --url ws://{address} --no-reconnect")).ended();
    assert_eq!(ended.code, Some(EXIT_CONNECTION), "{}", ended.text);
    let told = "depthcast watch: the server closed the connection: 1012 so the test wants it";
    assert!(ended.after().contains(told), "{}", ended.text);
    assert!(ended.after().contains("BTCUSDT over "), "{}", ended.text);
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    for thread in ["own", "other"] {
        let ended = Inside::start(PANIC, thread).ended();
        assert_eq!(ended.code, Some(101), "{}", ended.text);
        assert_eq!(ended.after().matches("on purpose").count(), 1, "{}", ended.text);
    }
}

#[test]
fn plain_lines_are_plain_in_a_terminal_too() {
    let address = server(10..2_000, None);
    let mut inside = Inside::watching(&format!("btcusdt --url ws://{address} --plain --for 500ms"));
    let status = inside.child.wait().unwrap();
    assert_eq!(status.code(), Some(EXIT_OK));
    inside.await_text("  reconnects ");
    let text = inside.text();
    assert!(
        text.contains("in step at id 10") && !text.contains(ENTER),
        "{text}"
    );
}
