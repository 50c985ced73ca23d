//! A capture whose update ids jump: the book is given up by name, and nothing wrong is ever told of it.

use std::time::{Duration, Instant};

use crate::common::capture_file::{CaptureText, TextLevel};
use crate::common::goodbye::before_goodbye;
use crate::common::program::Program;
use crate::common::raw::{PATIENCE, Raw, http_get};
use crate::common::scratch::Scratch;
use crate::witness::depth_ids;

const BID: TextLevel<'static> = ("100.00000000", "1.00000000");
const OTHER_BID: TextLevel<'static> = ("99.50000000", "3.00000000");
const ASK: TextLevel<'static> = ("101.00000000", "2.00000000");

/// The gap of BTCUSDT is that long into the market, ms; what heals it comes as long after it again.
const GAP_AT_MS: u64 = 1000;

/// Two books; that of BTCUSDT misses the ids 21 to 29. Gives the line of the gap.
fn market(heals: bool) -> (CaptureText, usize) {
    let mut capture = CaptureText::new();
    capture.snapshot_of("BTCUSDT", 10, &[BID], &[ASK]);
    capture.snapshot_of("ETHUSDT", 10, &[BID], &[ASK]);
    let mut eth = 11;
    let mut go_on = |capture: &mut CaptureText| {
        for _ in 0..GAP_AT_MS / 100 {
            capture.wait_ms(100);
            capture.depth("ETHUSDT", eth, eth, &[OTHER_BID], &[]);
            capture.trade("BTCUSDT");
            eth += 1;
        }
    };
    capture.depth("BTCUSDT", 11, 20, &[("99.00000000", "5.00000000")], &[]);
    go_on(&mut capture);
    capture.depth("BTCUSDT", 30, 34, &[("98.00000000", "9.00000000")], &[]);
    let gap_line = capture.line_count();
    capture.depth("BTCUSDT", 35, 39, &[("97.00000000", "9.00000000")], &[]);
    go_on(&mut capture);
    if heals {
        // It covers the first update behind the gap, and half of the second.
        capture.snapshot_of("BTCUSDT", 37, &[BID, OTHER_BID], &[]);
        capture.depth("BTCUSDT", 40, 44, &[("96.00000000", "9.00000000")], &[]);
    }
    go_on(&mut capture);
    capture.wait_ms(1100);
    capture.trade("BTCUSDT");
    (capture, gap_line)
}

struct Run {
    program: Program,
    /// One connection that receives everything, wrapped.
    client: Raw,
    gap_line: usize,
    _scratch: Scratch,
}

fn run(heals: bool) -> Run {
    let (capture, gap_line) = market(heals);
    let scratch = Scratch::new();
    let path = scratch.write("gap", capture.as_str());
    let feed = format!("capture:{}?start=1&end=exit", path.display());
    let program = Program::serve(&["--feed", &feed]);
    let target = "/stream?streams=btcusdt@depth@100ms/btcusdt@depth/btcusdt@depth5@100ms/btcusdt@trade/ethusdt@depth@100ms";
    Run {
        client: Raw::open(program.address(), target),
        program,
        gap_line,
        _scratch: scratch,
    }
}

impl Run {
    fn depth_status(&self, symbol: &str) -> u16 {
        http_get(self.program.address(), &format!("/api/v3/depth?symbol={symbol}")).0
    }

    fn wait_for_depth_status(&self, symbol: &str, status: u16) {
        let until = Instant::now() + PATIENCE;
        while self.depth_status(symbol) != status {
            assert!(Instant::now() < until, "no {status} for the depth of {symbol}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The one line on standard error names everything.
    fn assert_gap_is_said(&self) {
        let said = self.program.stderr_line("does not continue the book");
        for part in [
            "BTCUSDT",
            &format!("position=line {} ", self.gap_line),
            "30 to 34",
            "start at 21",
        ] {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
    }

    /// All payloads of a stream up to the end of the engine, which is orderly.
    fn finish(mut self) -> impl Fn(&str) -> Vec<String> {
        let frames = self.client.frames_to_end();
        before_goodbye(&frames);
        let ended = self.program.ended(PATIENCE);
        ended.assert_no_panic();
        assert_eq!(
            (ended.code, ended.stderr.lines().count()),
            (Some(0), 1),
            "{ended:?}"
        );
        move |stream| {
            let start = format!(r#"{{"stream":"{stream}","data":"#);
            let (events, _) = before_goodbye(&frames);
            let payloads = events
                .iter()
                .filter_map(|frame| frame.text().strip_prefix(&start));
            payloads
                .map(|payload| payload[..payload.len() - 1].to_string())
                .collect()
        }
    }
}

fn ids(events: &[String]) -> Vec<(u64, u64)> {
    events.iter().map(|event| depth_ids(event)).collect()
}

fn assert_others_went_on(stream: &impl Fn(&str) -> Vec<String>) {
    let rounds = 3 * GAP_AT_MS / 100;
    let eth: Vec<(u64, u64)> = (11..11 + rounds).map(|id| (id, id)).collect();
    assert_eq!(ids(&stream("ethusdt@depth@100ms")), eth);
    assert_eq!(stream("btcusdt@trade").len() as u64, rounds + 1);
}

#[test]
fn nothing_is_told_of_a_book_with_a_gap_and_the_others_go_on() {
    let run = run(false);
    run.wait_for_depth_status("BTCUSDT", 200);
    run.assert_gap_is_said();
    run.wait_for_depth_status("BTCUSDT", 503);
    assert_eq!(run.depth_status("ETHUSDT"), 200);
    let (status, body) = http_get(run.program.address(), "/api/v3/depth?symbol=BTCUSDT");
    assert!(status == 503 && body.contains("stale"), "{body}");

    let stream = run.finish();
    assert_eq!(ids(&stream("btcusdt@depth@100ms")), [(11, 20)]);
    assert_eq!(ids(&stream("btcusdt@depth")), [(11, 20)]);
    assert_eq!(stream("btcusdt@depth5@100ms").len(), 1);
    assert_others_went_on(&stream);
}

#[test]
fn a_later_snapshot_heals_it_with_one_contiguous_diff() {
    let run = run(true);
    run.assert_gap_is_said();
    run.wait_for_depth_status("BTCUSDT", 503);
    run.wait_for_depth_status("BTCUSDT", 200);

    let stream = run.finish();
    let diffs = stream("btcusdt@depth@100ms");
    assert_eq!(ids(&diffs), [(11, 20), (21, 37), (38, 39), (40, 44)]);
    // What the snapshot has and the book had not, and the other way round: asks first gone, bids best first.
    let healing = r#""U":21,"u":37,"b":[["99.50000000","3.00000000"],["99.00000000","0.00000000"]],"a":[["101.00000000","0.00000000"]]}"#;
    assert!(diffs[1].ends_with(healing), "{}", diffs[1]);
    // The slower stream merges all that came in one second.
    let merged = ids(&stream("btcusdt@depth"));
    assert_eq!(merged, [(11, 20), (21, 44)]);
    assert_others_went_on(&stream);
}
