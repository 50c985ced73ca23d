use depthcast_wire::ws::server_frame;

use super::*;

const MS: u64 = 1_000_000;

fn depth(event_time_us: i64, first_id: u64, last_id: u64) -> Vec<u8> {
    let text = format!(
        r#"{{"e":"depthUpdate","E":{event_time_us},"s":"BTCUSDT","U":{first_id},"u":{last_id},"b":[["1.0","2"]],"a":[]}}"#
    );
    server_frame(Opcode::Text, text.as_bytes())
}

fn snapshot(last_id: u64) -> Vec<u8> {
    let text = format!(
        r#"{{"e":"depthSnapshot","E":5,"s":"BTCUSDT","ep":7,"lastUpdateId":{last_id},"bids":[],"asks":[]}}"#
    );
    server_frame(Opcode::Text, text.as_bytes())
}

fn result() -> Vec<u8> {
    server_frame(Opcode::Text, br#"{"result":null,"id":1}"#)
}

struct Bench {
    watch: Watch,
    watching: Watching,
}

impl Bench {
    fn new(name: &str, start: Start) -> Bench {
        Bench {
            watch: Watch::new(3, name, start),
            watching: Watching::new(None, 0),
        }
    }

    /// Bytes come in pieces, all at one time.
    fn take(&mut self, bytes: &[u8], at_ns: u64) -> Option<String> {
        let faults = bytes
            .chunks(50)
            .map(|piece| self.watch.take(piece, at_ns, &mut self.watching));
        faults.fold(None, Option::or)
    }
}

#[test]
fn a_snapshot_is_timed_and_what_follows_continues_it() {
    let mut bench = Bench::new("btcusdt@depth@100ms", Start::None);
    assert!(!bench.watch.is_joining());
    bench.watch.ask(Start::Snapshot, 10 * MS, &mut bench.watching);
    assert!(bench.watch.is_joining());
    assert_eq!(bench.take(&result(), 12 * MS), None);
    assert_eq!(bench.take(&snapshot(41), 30 * MS), None);
    assert!(!bench.watch.is_joining());
    assert_eq!(bench.take(&depth(100_000, 42, 50), 40 * MS), None);
    assert_eq!(bench.take(&depth(200_000, 51, 51), 50 * MS), None);
    let watching = &bench.watching;
    assert_eq!(
        (
            watching.asked,
            watching.answered,
            watching.joined,
            watching.continued
        ),
        (1, 1, 1, 1)
    );
    assert_eq!((watching.gaps, watching.events, watching.ids), (0, 2, 10));
    assert_eq!(
        (watching.asked_ns, watching.joined_ns),
        (Some((10 * MS, 10 * MS)), 30 * MS)
    );
    assert_eq!(watching.bodies, [(3, 41)].into());
    assert_eq!(watching.answer_times.count_at(2 * MS), 1);
    assert_eq!(watching.join_times.count_at(20 * MS), 1);
    assert_eq!(watching.continue_times.count_at(30 * MS), 1);
    assert_eq!(watching.silence_ns, 10 * MS);
}

#[test]
fn whatever_does_not_continue_is_a_gap() {
    let after_snapshot = |event: Vec<u8>| {
        let mut bench = Bench::new("btcusdt@depth@100ms", Start::Snapshot);
        bench.take(&snapshot(41), MS);
        let fault = bench.take(&event, MS);
        assert_eq!(bench.watching.gaps, u64::from(fault.is_some()));
        fault
    };
    assert_eq!(after_snapshot(depth(1, 42, 42)), None);
    assert_eq!(
        after_snapshot(depth(1, 43, 44)).as_deref(),
        Some("update 43 to 44 came where 42 was expected")
    );
    assert!(after_snapshot(depth(1, 41, 44)).is_some());
    assert!(after_snapshot(snapshot(42)).is_some());

    let first = |start, event: Vec<u8>| Bench::new("btcusdt@depth@0ms", start).take(&event, MS);
    assert_eq!(first(Start::Next, depth(1, 7, 8)), None);
    assert_eq!(first(Start::After(6), depth(1, 7, 8)), None);
    assert!(first(Start::After(5), depth(1, 7, 8)).is_some());
    assert!(first(Start::Snapshot, depth(1, 7, 8)).is_some());
    assert!(first(Start::None, depth(1, 7, 8)).is_some());
    assert!(first(Start::Next, snapshot(8)).is_some());
}

#[test]
fn a_refused_request_is_told() {
    let mut bench = Bench::new("btcusdt@depth@0ms", Start::None);
    let refusal = server_frame(Opcode::Text, br#"{"code":2,"msg":"no","id":1}"#);
    let fault = bench.take(&refusal, MS).unwrap();
    assert!(fault.starts_with("a request was refused: {\"code\":2"), "{fault}");
    assert_eq!((bench.watching.refused, bench.watching.gaps), (1, 0));
}

#[test]
fn latency_counts_from_the_tick_over_the_fastest_event() {
    let mut bench = Bench::new("btcusdt@depth@100ms", Start::Next);
    // The market's clock is 40 s behind. Changes of 130 to 200 ms are due with the tick at 200 ms.
    let at = |ms: u64| (40_000 + ms) * MS;
    bench.take(&depth(130_000, 1, 1), at(207));
    bench.take(&depth(299_999, 2, 2), at(303));
    assert_eq!(bench.watching.latency.len(), 0, "there is no zero yet");
    bench.watching.begin(at(350));
    assert_eq!(bench.watching.floor_ns(), Some(at(3).cast_signed()));
    bench.take(&depth(400_000, 3, 3), at(408));
    bench.take(&depth(400_001, 4, 4), at(501));
    let latency = &bench.watching.latency;
    // 8 and 1 ms after their ticks, the fastest of before 3.
    assert_eq!(
        (latency.len(), latency.count_at(5 * MS), latency.count_at(0)),
        (2, 1, 1)
    );
    assert_eq!(bench.watching.below_floor_ns, 2 * MS);
    assert_eq!(bench.watching.moments.all().len(), 2);
    bench.watching.begin(at(600));
    assert_eq!(
        bench.watching.floor_ns(),
        Some(at(3).cast_signed()),
        "it stays as it is"
    );
    assert_eq!(
        (bench.watching.latency.len(), bench.watching.below_floor_ns),
        (0, 0)
    );
}

#[test]
fn who_came_back_goes_on_where_it_was() {
    let mut bench = Bench::new("btcusdt@depth@0ms", Start::Next);
    assert_eq!(bench.watch.position(), None);
    bench.watch.opened(Some(99), MS, &mut bench.watching);
    assert_eq!(bench.watch.position(), None);
    bench.take(&depth(1, 7, 8), MS);
    assert_eq!(bench.watch.position(), Some((8, 99)));
    assert_eq!(bench.watching.answered, 0, "nothing was asked for");

    let mut watch = Watch::new(0, "btcusdt@depth@0ms", Start::None);
    watch.ask(Start::After(8), 2 * MS, &mut bench.watching);
    watch.opened(Some(99), 3 * MS, &mut bench.watching);
    assert_eq!(watch.take(&depth(2, 9, 30), 5 * MS, &mut bench.watching), None);
    let watching = &bench.watching;
    assert_eq!((watching.answered, watching.joined, watching.gaps), (1, 1, 0));
    assert_eq!(watching.answer_times.count_at(MS), 1);
    assert_eq!(watching.join_times.count_at(3 * MS), 1);
}
