//! Captures that cannot be replayed, or not to their end: exit code 4 and one line that names the file and the fault.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::capture_file::CaptureText;
use crate::common::goodbye::before_goodbye;
use crate::common::program::{Ended, Program};
use crate::common::raw::{Raw, http_get};
use crate::common::scratch::Scratch;

/// The feed is at fault.
const EXIT_FEED: i32 = 4;

const IN_TIME: Duration = Duration::from_secs(10);

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("memory takes any write");
    encoder.finish().expect("memory takes any write")
}

/// Starts the engine with a capture and settings that must make it end.
fn ended(path: &Path, how: &str) -> Ended {
    let feed = format!("capture:{}?{how}", path.display());
    let ended = Program::serve(&["--feed", &feed]).ended(IN_TIME);
    ended.assert_no_panic();
    ended
}

#[test]
fn captures_that_are_none_are_refused_at_the_start() {
    let scratch = Scratch::new();
    let mut good = CaptureText::new();
    good.trade("BTCUSDT");
    good.trade("BTCUSDT");
    let whole = gzip(good.as_str().repeat(1000).as_bytes());
    let text = good.as_str();
    let late = text.lines().next().unwrap().replacen("17", "16", 1);
    for (name, content, part) in [
        (
            "cut.gz",
            whole[..whole.len() - 20].to_vec(),
            "the gzip is cut off after",
        ),
        (
            "header.gz",
            whole[..5].to_vec(),
            "the gzip is cut off after 0 whole lines",
        ),
        (
            "damaged.gz",
            [&whole[..60], &[0xff; 60], &whole[120..]].concat(),
            "the gzip is damaged after",
        ),
        (
            "junk.gz",
            b"no gzip and no lines".to_vec(),
            "though its name ends in .gz",
        ),
        ("junk", b"\x7fELF\x02\x01".to_vec(), "neither gzip nor lines"),
        (
            "other.gz",
            gzip(b"dear diary\n"),
            "line 1: the line does not start with its receive time",
        ),
        ("empty", Vec::new(), "the file is empty"),
        ("nothing.gz", gzip(b""), "the file is empty"),
        (
            "cut",
            text[..text.len() - 30].into(),
            "line 2: the feed sent text that is not JSON",
        ),
        (
            "late",
            format!("{text}{late}\n").into(),
            "line 3: the receive time",
        ),
        (
            "other",
            format!("{text}1700000000000000009 {{\"e\":\"kline\"}}\n").into(),
            "line 3: the feed sent an event of the unknown kind \"kline\"",
        ),
        (
            "long",
            format!("{text}1700000000000000009 {}\n", "x".repeat(2 << 20)).into(),
            "line 3: the line is longer than",
        ),
        (
            "no_symbol",
            b"1 {\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}\n".to_vec(),
            "no event at the start of the file names a symbol",
        ),
    ] {
        let path = scratch.write(name, content);
        let ended = ended(&path, "speed=1");
        assert_eq!(ended.code, Some(EXIT_FEED), "{name}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{name}: {ended:?}");
        let start = format!("depthcast: cannot replay: capture {}", path.display());
        assert!(ended.stderr.starts_with(&start), "{name}: {ended:?}");
        assert!(ended.stderr.contains(part), "{name}: {ended:?}");
        assert_eq!(ended.stdout, "", "{name}");
    }
}

#[test]
fn paths_that_are_no_files_are_refused_at_the_start() {
    let scratch = Scratch::new();
    for (path, part) in [
        (scratch.path().join("missing.gz"), "there is no such file"),
        (scratch.path().to_path_buf(), "this is a directory, not a file"),
        ("/dev/null".into(), "this is no regular file"),
        (scratch.write("file", "x").join("below"), "cannot read it"),
    ] {
        let ended = ended(&path, "");
        assert_eq!(ended.code, Some(EXIT_FEED), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert!(ended.stderr.contains(part), "{ended:?}");
        assert!(ended.stderr.contains(&path.display().to_string()), "{ended:?}");
    }
}

/// A fault beyond what is read at the start: what came before it is played, and then the feed is gone.
#[test]
fn a_capture_that_breaks_off_is_played_up_to_there() {
    const WHOLE: usize = 40_000;
    let scratch = Scratch::new();
    let mut capture = CaptureText::new();
    capture.snapshot(10, &[("100.00000000", "1.00000000")], &[]);
    for _ in 1..WHOLE {
        capture.trade("BTCUSDT");
    }
    capture.line("{\"e\":\"depthUpdate\"}");
    let path = scratch.write("breaks_off", capture.as_str());

    // With end=exit the engine ends as it would have, but says that the feed was at fault.
    let feed = format!("capture:{}?speed=max&start=1&end=exit", path.display());
    let program = Program::serve(&["--feed", &feed]);
    let mut client = Raw::open(program.address(), "/ws/btcusdt@trade");
    let frames = client.frames_to_end();
    assert_eq!(before_goodbye(&frames).0.len(), WHOLE - 1);
    let ended = program.ended(IN_TIME);
    ended.assert_no_panic();
    assert_eq!(ended.code, Some(EXIT_FEED), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    let place = format!("capture {}, line {}", path.display(), WHOLE + 1);
    assert!(ended.stderr.contains(&place), "{ended:?}");

    // Otherwise it stays, with books that nobody can trust.
    let feed = format!("capture:{}?speed=max&start=1&end=hold", path.display());
    let mut program = Program::serve(&["--feed", &feed]);
    let mut client = Raw::open(program.address(), "/ws/btcusdt@trade");
    for _ in 1..WHOLE {
        client.frame().expect("a trade");
    }
    assert!(program.stderr_line("the feed broke").contains(&place));
    // It is said before the books have been told.
    let deadline = Instant::now() + IN_TIME;
    loop {
        let (status, body) = http_get(program.address(), "/api/v3/depth?symbol=BTCUSDT");
        if status == 503 {
            break;
        }
        assert!(status == 200 && Instant::now() < deadline, "{status} {body}");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(program.is_running());
}
