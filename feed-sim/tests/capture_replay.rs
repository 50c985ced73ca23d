//! Replays of small captures in virtual time.

mod written_capture;

use std::path::PathBuf;

use depthcast_feed_sim::capture::head::HEAD_LINES_MAX;
use depthcast_feed_sim::capture::{CaptureOptions, CaptureReader, Finish, Next, Replay};
use depthcast_market::event::MarketEvent;
use proptest::prelude::*;
use written_capture::{Folder, gzip, trade};

/// Recorded times: a burst, a pause, and two of the same time.
const TIMES: [u64; 5] = [1_000, 1_010, 1_020, 5_000, 5_000];

fn capture(folder: &Folder) -> PathBuf {
    let lines: String = (0u64..)
        .zip(TIMES)
        .map(|(id, at_ns)| trade(at_ns, "AB", id))
        .collect();
    folder.write("capture", lines)
}

fn replay(path: PathBuf, settings: &str) -> Replay {
    let options = CaptureOptions {
        path,
        ..CaptureOptions::parse(&format!("any?{settings}")).expect("valid settings")
    };
    Replay::new(CaptureReader::open(&options.path).expect("a capture"), &options)
}

/// The id of the trade that is given at `now_ns`.
fn given(replay: &mut Replay, now_ns: u64) -> Option<i64> {
    match replay.poll(now_ns).expect("a readable capture") {
        Next::Record(record) => match record.event {
            MarketEvent::Trade(trade) => Some(trade.id),
            other => panic!("{other:?}"),
        },
        _ => None,
    }
}

#[test]
fn records_come_at_their_distances() {
    let folder = Folder::new();
    let mut replay = replay(capture(&folder), "end=hold");
    assert_eq!(replay.head().first_ns, 1_000);
    assert_eq!(replay.recorded_now_ns(50), None);
    assert_eq!(given(&mut replay, 70), Some(0));
    assert_eq!(replay.poll(70).unwrap(), Next::Wait(80));
    assert_eq!(replay.poll(79).unwrap(), Next::Wait(80));
    assert_eq!(given(&mut replay, 80), Some(1));
    // A late poll gets what it missed.
    assert_eq!(given(&mut replay, 4_500), Some(2));
    assert_eq!(given(&mut replay, 4_500), Some(3));
    assert_eq!(given(&mut replay, 4_500), Some(4));
    for now_ns in [4_500, 9_000] {
        assert_eq!(replay.poll(now_ns).unwrap(), Next::End(Finish::Hold));
    }
}

#[test]
fn speed_divides_the_distances() {
    let folder = Folder::new();
    for (settings, waits) in [
        ("speed=10", [1, 2, 400]),
        ("speed=0.5", [20, 40, 8_000]),
        // Never early: 10 / 3 and 20 / 3 are rounded up.
        ("speed=3", [4, 7, 1_334]),
    ] {
        let mut replay = replay(capture(&folder), settings);
        assert_eq!(given(&mut replay, 0), Some(0));
        for (id, due_ns) in (1..).zip(waits) {
            assert_eq!(replay.poll(0).unwrap(), Next::Wait(due_ns), "{settings}");
            assert_eq!(given(&mut replay, due_ns), Some(id));
        }
        assert_eq!(given(&mut replay, waits[2]), Some(4));
    }
}

#[test]
fn at_maximal_speed_nothing_waits_and_recorded_time_jumps() {
    let folder = Folder::new();
    let mut replay = replay(capture(&folder), "speed=max&end=exit");
    for (id, at_ns) in (0..).zip(TIMES) {
        assert_eq!(given(&mut replay, 7), Some(id));
        assert_eq!(replay.recorded_now_ns(1_000_000), Some(at_ns));
    }
    assert_eq!(replay.poll(7).unwrap(), Next::End(Finish::Exit));
    assert_eq!(replay.recorded_now_ns(7), Some(5_000));
    assert_eq!(replay.recorded_now_ns(1_007), Some(6_000));
}

#[test]
fn recorded_time_passes_in_quiet_stretches_and_never_passes_a_record() {
    let folder = Folder::new();
    let mut replay = replay(capture(&folder), "speed=2");
    for (now_ns, id) in [(0, 0), (5, 1), (10, 2)] {
        assert_eq!(given(&mut replay, now_ns), Some(id));
    }
    // The next record is not known before it is asked for, so neither is how far recorded time may go.
    assert_eq!(replay.recorded_now_ns(1_000), Some(1_020));
    assert_eq!(replay.poll(10).unwrap(), Next::Wait(2_000));
    assert_eq!(replay.recorded_now_ns(10), Some(1_020));
    assert_eq!(replay.recorded_now_ns(500), Some(2_000));
    assert_eq!(replay.recorded_now_ns(9_000), Some(5_000));
    assert_eq!(replay.recorded_now_ns(0), Some(1_020), "it never goes back");
    assert_eq!(given(&mut replay, 2_100), Some(3));
    assert_eq!(given(&mut replay, 2_100), Some(4));
    assert_eq!(replay.poll(2_100).unwrap(), Next::End(Finish::Hold));
    assert_eq!(
        replay.recorded_now_ns(2_600),
        Some(6_000),
        "at the end it goes on"
    );
}

#[test]
fn enough_subscribers_start_it_and_their_going_does_not_stop_it() {
    let folder = Folder::new();
    let mut replay = replay(capture(&folder), "start=3");
    assert_eq!(replay.poll(0).unwrap(), Next::AwaitSubscribers(3));
    replay.note_subscribers(2);
    assert_eq!(replay.poll(1_000_000).unwrap(), Next::AwaitSubscribers(3));
    assert_eq!(replay.recorded_now_ns(1_000_000), None);
    replay.note_subscribers(3);
    replay.note_subscribers(0);
    assert_eq!(
        given(&mut replay, 2_000_000),
        Some(0),
        "recorded time starts when they are there"
    );
    replay.note_subscribers(9);
    assert_eq!(replay.poll(2_000_000).unwrap(), Next::Wait(2_000_010));
}

#[test]
fn a_loop_starts_over_as_another_epoch() {
    let folder = Folder::new();
    let mut replay = replay(capture(&folder), "end=loop&start=1");
    replay.note_subscribers(1);
    let mut now_ns = 0;
    for epoch in 1..=3 {
        // The first record of each pass is due at once.
        let mut previous_ns = None;
        for (id, at_ns) in (0..).zip(TIMES) {
            let due_ns = now_ns + at_ns - previous_ns.unwrap_or(at_ns);
            if due_ns > now_ns {
                assert_eq!(replay.poll(now_ns).unwrap(), Next::Wait(due_ns));
            }
            (now_ns, previous_ns) = (due_ns, Some(at_ns));
            assert_eq!(given(&mut replay, now_ns), Some(id));
            assert_eq!(replay.recorded_now_ns(now_ns), Some(at_ns));
        }
        assert_eq!(replay.poll(now_ns).unwrap(), Next::Rewound { epoch });
        assert_eq!(
            replay.recorded_now_ns(now_ns),
            None,
            "the new epoch has no time before its first record"
        );
    }
    assert_eq!(now_ns, 3 * 4_000);
}

#[test]
fn a_fault_in_the_middle_is_given_once_and_ends_it() {
    let folder = Folder::new();
    let mut lines: String = (0..HEAD_LINES_MAX).map(|n| trade(n, "AB", n)).collect();
    lines.push_str("nonsense\n");
    lines.push_str(&trade(HEAD_LINES_MAX, "AB", 1));
    let whole = gzip(&lines);
    let cut = gzip(
        (0..2 * HEAD_LINES_MAX)
            .map(|n| trade(n, "AB", n))
            .collect::<String>(),
    );
    for (name, bytes, fault) in [
        (
            "plain",
            lines.as_bytes(),
            ", line 32769: the line does not start with",
        ),
        ("gzip", &whole, ", line 32769: the line does not start with"),
        ("cut", &cut[..cut.len() - 100], ": the gzip is cut off after "),
    ] {
        let path = folder.write(name, bytes);
        let mut replay = replay(path.clone(), "speed=max&end=loop");
        let mut records = 0;
        let error = loop {
            match replay.poll(5) {
                Ok(Next::Record(_)) => records += 1,
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(records >= HEAD_LINES_MAX, "{name}: {records}");
        assert!(
            error.starts_with(&format!("capture {}{fault}", path.display())),
            "{error}"
        );
        for _ in 0..2 {
            assert_eq!(replay.poll(6).unwrap(), Next::End(Finish::Failed));
        }
        assert!(replay.recorded_now_ns(7).is_some());
    }
}

#[test]
fn a_file_that_is_gone_when_a_loop_starts_over_ends_it() {
    let folder = Folder::new();
    let path = capture(&folder);
    let mut replay = replay(path.clone(), "speed=max&end=loop");
    for id in 0..5 {
        assert_eq!(given(&mut replay, 0), Some(id));
    }
    std::fs::remove_file(&path).unwrap();
    let error = replay.poll(0).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("capture {}: there is no such file", path.display())
    );
    assert_eq!(replay.poll(0).unwrap(), Next::End(Finish::Failed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the distances, the speed and the times of polling: every record comes once, in order, never early,
    /// and recorded time never goes back within an epoch nor past the record to come.
    #[test]
    fn any_polling_gives_every_record_in_time(
        distances in prop::collection::vec(0u64..5_000, 1..20),
        times in prop_oneof![Just(None), (0.01f64..100.0).prop_map(Some)],
        steps in prop::collection::vec(0u64..3_000, 50),
    ) {
        let folder = Folder::new();
        let at: Vec<u64> = distances.iter().scan(1_000_000, |at_ns, distance| {
            *at_ns += distance;
            Some(*at_ns)
        }).collect();
        let lines: String = (0..).zip(&at).map(|(id, &at_ns)| trade(at_ns, "AB", id)).collect();
        let speed = times.map_or("max".into(), |times| times.to_string());
        let mut replay = replay(folder.write("capture", lines), &format!("speed={speed}&end=exit"));
        let (mut now_ns, mut next, mut reached_ns, mut origin_ns) = (0, 0, 0, None);
        let mut steps = steps.into_iter();
        loop {
            match replay.poll(now_ns).unwrap() {
                Next::Record(record) => {
                    prop_assert_eq!(record.at_ns, at[next]);
                    let origin_ns = *origin_ns.get_or_insert(now_ns);
                    if let Some(times) = times {
                        let due_ns = (at[next] - at[0]) as f64 / times;
                        prop_assert!((now_ns - origin_ns) as f64 >= due_ns);
                    }
                    next += 1;
                }
                Next::Wait(until_ns) => {
                    prop_assert!(until_ns > now_ns);
                    let recorded_ns = replay.recorded_now_ns(now_ns).unwrap();
                    prop_assert!((reached_ns..=at[next]).contains(&recorded_ns));
                    reached_ns = recorded_ns;
                    // Some polls come too early and some too late; in the end the waiting is obeyed.
                    now_ns = steps.next().map_or(until_ns, |step| now_ns + step);
                }
                Next::End(finish) => {
                    prop_assert_eq!(finish, Finish::Exit);
                    break;
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(next, at.len());
    }
}
