//! `watch --record`: what it keeps of the recorded market is the market again, and a capture that can be replayed.

pub mod common;

use std::collections::HashSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use common::market::{BookJson, DepthJson, Kind, State, capture, levels, recorded};
use common::mirror::Mirror;
use common::program::{Ended, Program, depthcast};
use common::raw::{PATIENCE, settings, start};
use common::scratch::Scratch;
use common::subscriber::{Message, Subscriber};

/// Some 60 s of the market in the time that is recorded.
const HOW: &str = "speed=20";
const RECORDED_FOR: &str = "3s";

/// The levels a side that a subscriber asks REST for: a deeper book is recorded up to here.
const SNAPSHOT_LIMIT: usize = 5000;

fn watch(address: SocketAddr, file: &Path, arguments: &[&str]) -> Ended {
    let url = format!("ws://{address}");
    let mut command = depthcast();
    command.args([
        "watch",
        "btcusdt",
        "--url",
        &url,
        "--for",
        RECORDED_FOR,
        "--record",
    ]);
    Program::spawn(command.arg(file).args(arguments)).ended(PATIENCE)
}

/// The lines of a recording: receive time and frame.
fn read_lines(path: &Path) -> Vec<(u64, String)> {
    let bytes = std::fs::read(path).expect("a recording");
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut decoder = flate2::read::GzDecoder::new(&*bytes);
        decoder.read_to_string(&mut text).expect("whole gzip");
    } else {
        text = String::from_utf8(bytes).expect("text");
    }
    assert!(text.ends_with('\n'), "the last line is whole");
    let line = |line: &str| {
        let (at_ns, frame) = line.split_once(' ').expect("a time and a frame");
        (at_ns.parse().expect("ns"), frame.to_string())
    };
    text.lines().map(line).collect()
}

/// Name and payload of a combined frame.
fn split(frame: &str) -> Option<(&str, &str)> {
    frame
        .strip_prefix(r#"{"stream":""#)?
        .strip_suffix('}')?
        .split_once(r#"","data":"#)
}

/// Panics unless the top of `mirror` is that of `state`, and all of it where a snapshot holds all of it.
fn assert_same_book(mirror: &Mirror, state: &State) {
    if state.counts.iter().all(|count| *count < SNAPSHOT_LIMIT) {
        mirror.assert_is(state);
    } else {
        assert_eq!((mirror.id(), mirror.top(20)), (state.id, state.top.clone()));
    }
}

/// Applies a depth event; gives its last id where the book was older.
fn apply(mirror: &mut Mirror, json: &str) -> Option<u64> {
    let event: DepthJson<'_> = serde_json::from_str(json).expect("a depth event");
    let sides = [levels(&event.bids), levels(&event.asks)];
    mirror
        .apply(event.first_id, event.last_id, &sides)
        .then_some(event.last_id)
}

/// Replays the recording at full speed; a subscriber has to see the recorded market's books at the ids of `depths`.
fn assert_replays(file: &Path, name: &str, snapshot: &str, depths: &[&str]) {
    let engine = start(settings(file, "speed=max&start=1&end=hold"));
    let mut subscriber = Subscriber::open(engine.address(), &format!("/ws/{name}"));
    let book: BookJson<'_> = serde_json::from_str(snapshot).expect("a snapshot");
    let mut mirror = Mirror::new(book.last_id, &[levels(&book.bids), levels(&book.asks)]);
    let mut expected = mirror.clone();
    let ids: Vec<u64> = depths
        .iter()
        .filter_map(|json| apply(&mut expected, json))
        .collect();
    for id in &ids {
        let Message::Text(text) = subscriber.message() else {
            panic!("{id} does not come");
        };
        assert_eq!(apply(&mut mirror, text), Some(*id));
        assert_same_book(&mirror, recorded().state(*id));
    }
    assert!(ids.len() > 20, "only {} updates were recorded", ids.len());
}

#[test]
fn a_recording_replays_as_the_market_it_was_made_of() {
    let scratch = Scratch::new();
    for (name, arguments, depth) in [
        ("sbe.capture", &["--plain"][..], "btcusdt@depth@20ms"),
        ("json.capture.gz", &["--format", "json"], "btcusdt@depth@100ms"),
        (
            "slow.gz",
            &["--cadence", "250ms", "--every-update"],
            "btcusdt@depth@250ms",
        ),
    ] {
        let engine = start(settings(&capture(), HOW));
        let file = scratch.path().join(name);
        let ended = watch(engine.address(), &file, arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        let lines = read_lines(&file);
        let said = format!("  recorded        {} lines in {}\n", lines.len(), file.display());
        assert!(ended.stdout.ends_with(&said), "{}", ended.stdout);
        assert!(lines.is_sorted_by_key(|(at_ns, _)| *at_ns));

        let original: HashSet<&str> = [Kind::Depth, Kind::BookTicker, Kind::Trade]
            .into_iter()
            .flat_map(|kind| recorded().payloads(kind))
            .collect();
        let (mut depths, mut snapshots, mut others) = (Vec::new(), Vec::new(), HashSet::new());
        for (_, frame) in &lines {
            match split(frame) {
                None => snapshots.push(frame.as_str()),
                Some((stream, payload)) if stream == depth => depths.push(payload),
                Some((stream, payload)) => {
                    assert!(original.contains(payload), "{payload} is not of the market");
                    others.insert(stream);
                }
            }
        }
        assert_eq!(others, HashSet::from(["btcusdt@bookTicker", "btcusdt@trade"]));
        if !depth.ends_with("@250ms") {
            assert!(depths.iter().all(|payload| original.contains(payload)), "{name}");
        }
        let snapshot = snapshots.last().expect("a snapshot");
        assert_replays(&file, depth, snapshot, &depths);
    }
}

#[test]
fn files_are_not_overwritten_and_what_cannot_be_written_is_named() {
    let scratch = Scratch::new();
    let engine = start(settings(&capture(), HOW));
    let file = scratch.write("kept.capture", "kept");
    let ended = watch(engine.address(), &file, &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(
        ended.stderr,
        format!(
            "depthcast watch: {} exists and is not overwritten: remove it, or name another file with --record\n",
            file.display()
        )
    );
    assert_eq!(std::fs::read(&file).expect("the file"), b"kept");

    let nowhere = scratch.path().join("no-such-folder/x.capture");
    let ended = watch(engine.address(), &nowhere, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .starts_with(&format!("depthcast watch: cannot create {}: ", nowhere.display())),
        "{}",
        ended.stderr
    );

    // What nothing was received for leaves no file behind.
    let empty = scratch.path().join("empty.capture");
    let mut command = depthcast();
    let url = format!("ws://{}", engine.address());
    command
        .args(["watch", "nosuch", "--url", &url, "--record"])
        .arg(&empty);
    assert_eq!(Program::spawn(&mut command).ended(PATIENCE).code, Some(2));
    assert!(!empty.exists());
}

#[test]
fn a_market_that_begins_anew_ends_the_recording() {
    let scratch = Scratch::new();
    let mut text = String::new();
    for line in &recorded().lines[..1_500] {
        text += &format!("{} {}\n", line.at_ns, line.frame);
    }
    let short = scratch.write("short.capture", text);
    let engine = start(settings(&short, "speed=10&end=loop"));
    let file = scratch.path().join("loop.capture");
    let ended = watch(engine.address(), &file, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.stderr.matches("the recording ends before that").count(),
        1,
        "{ended:?}"
    );
    let mut last_id = 0;
    for (_, frame) in read_lines(&file) {
        if let Some((_, payload)) = split(&frame).filter(|(name, _)| name.contains("@depth")) {
            let event: DepthJson<'_> = serde_json::from_str(payload).expect("a depth event");
            assert!(event.last_id > last_id, "one history");
            last_id = event.last_id;
        }
    }
    assert!(last_id > 0);
}
