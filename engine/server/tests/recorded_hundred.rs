//! A hundred subscribers of every kind on one engine at full speed, and some that join in the middle: each event is the
//! expected one, no stream has a gap, and the book of each is that of the recording after every event.

pub mod common;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use common::follower::{Followed, Follower, Form};
use common::market::{capture, levels, recorded};
use common::mirror::Mirror;
use common::raw::{settings, start};
use common::replay::{Done, to_the_end};
use common::subscriber::{Message, Subscriber, rest_book, subscription};

/// Those who are there from the first event: the replay waits for them.
const THERE_FROM_THE_START: usize = 100;

/// Every cadence that a name can have, ms.
const CADENCES: [u32; 8] = [0, 10, 20, 50, 100, 250, 500, 1000];

/// Events of the stream that it will leave that a subscriber takes first.
const EVENTS_BEFORE_CHANGE: usize = 20;

/// What a subscriber does beside reading.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Conduct {
    /// Subscribes by its URL and stays.
    Stay,
    /// Subscribes by message and stays.
    ByMessage,
    /// Leaves its last stream and comes back to it, in two steps.
    Change,
    /// The same with both requests in one piece.
    ChangeAtOnce,
    /// Joins when so many thousandths of the ids have passed.
    Late(u64),
}

#[derive(Debug)]
struct Spec {
    form: Form,
    names: Vec<String>,
    conduct: Conduct,
}

impl Spec {
    fn new(form: Form, names: &[&str], conduct: Conduct) -> Spec {
        let names = names.iter().map(|name| format!("btcusdt@{name}")).collect();
        Spec { form, names, conduct }
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    fn target(&self) -> String {
        let names = match self.conduct {
            Conduct::ByMessage => String::new(),
            _ => self.names.join("/"),
        };
        let path = match (self.form.sbe, self.form.combined) {
            (false, false) => format!("/ws/{names}?"),
            (false, true) => format!("/stream?streams={names}&"),
            (true, false) => format!("/sbe/ws/{names}?"),
            (true, true) => format!("/sbe/stream?streams={names}&"),
        };
        let unit = if self.form.micros {
            "timeUnit=MICROSECOND"
        } else {
            ""
        };
        path + unit
    }
}

/// JSON raw and combined in both time units, SBE by both paths.
fn forms() -> [Form; 6] {
    let form = |sbe, combined, micros| Form {
        sbe,
        combined,
        micros,
    };
    [
        form(false, false, false),
        form(false, true, false),
        form(false, false, true),
        form(false, true, true),
        form(true, false, false),
        form(true, true, false),
    ]
}

fn specs() -> Vec<Spec> {
    let [raw, combined, raw_micros, combined_micros, sbe, sbe_combined] = forms();
    let mut specs = Vec::new();
    for (place, cadence) in CADENCES.into_iter().enumerate() {
        let depth = format!("depth@{cadence}ms");
        let other = format!("depth@{}ms", CADENCES[(place + 3) % CADENCES.len()]);
        let top = ["depth5", "depth10", "depth20"].map(|levels| format!("{levels}@{cadence}ms"));
        let [top5, top10, top20] = &top;
        // Alone, in every form.
        specs.extend(forms().map(|form| Spec::new(form, &[&depth], Conduct::Stay)));
        // Partial depth, alone and beside others.
        specs.push(Spec::new(raw, &[&top[place % 3]], Conduct::Stay));
        specs.push(Spec::new(
            sbe,
            &[&top[(place + 1) % 3], "bestBidAsk"],
            Conduct::Stay,
        ));
        specs.push(Spec::new(combined, &[top5, top10, top20], Conduct::Stay));
        // Several streams at once.
        specs.push(Spec::new(
            combined_micros,
            &[&depth, &other, top20, "trade"],
            Conduct::ByMessage,
        ));
        // Those that change their mind.
        specs.push(Spec::new(raw_micros, &["bookTicker", &depth], Conduct::Change));
        specs.push(Spec::new(sbe_combined, &["trade", &depth], Conduct::ChangeAtOnce));
    }
    // Names without a cadence, and everything of a symbol on one connection.
    specs.push(Spec::new(
        raw,
        &["depth", "depth5", "trade", "bookTicker"],
        Conduct::Stay,
    ));
    specs.push(Spec::new(
        sbe,
        &["depth", "depth20", "trade", "bestBidAsk"],
        Conduct::Stay,
    ));
    specs.push(Spec::new(
        combined,
        &["depth", "depth20", "bestBidAsk", "bookTicker"],
        Conduct::ByMessage,
    ));
    specs.push(Spec::new(sbe, &["depth", "bestBidAsk"], Conduct::ByMessage));
    assert_eq!(specs.len(), THERE_FROM_THE_START);
    for (place, cadence) in CADENCES.into_iter().enumerate() {
        let form = forms()[place % forms().len()];
        let joins_at = Conduct::Late(50 * (place as u64 + 1));
        specs.push(Spec::new(form, &[&format!("depth@{cadence}ms")], joins_at));
    }
    specs
}

/// A book from the engine's REST depth.
fn rest_mirror(address: SocketAddr) -> Mirror {
    rest_book(address, |book| {
        Mirror::new(book.last_id, &[levels(&book.bids), levels(&book.asks)])
    })
    .expect("a book")
}

/// Events of each stream that a subscriber got, and those of them that came after it changed or joined.
#[derive(Debug, Default)]
struct Report {
    events: usize,
    events_after: usize,
}

fn follow(address: SocketAddr, spec: &Spec, done: Done) -> Report {
    if let Conduct::Late(thousandths) = spec.conduct {
        let recorded = recorded();
        let join_at =
            recorded.snapshot_id + (recorded.final_id() - recorded.snapshot_id) * thousandths / 1000;
        while rest_book(address, |book| book.last_id).is_none_or(|id| id < join_at) {
            thread::sleep(Duration::from_millis(2));
        }
    }
    let names = spec.names();
    let mut follower = Follower::new(&names, spec.form);
    let mut subscriber = Subscriber::open(address, &spec.target());
    let mut before_change = 0;
    match spec.conduct {
        Conduct::Stay => {}
        Conduct::ByMessage => subscriber.subscribe(&names),
        Conduct::Late(_) => {
            let mirror = rest_mirror(address);
            mirror.assert_is(recorded().state(mirror.id()));
            follower.stream_mut(names[0]).begin_anywhere(Some(mirror));
        }
        Conduct::Change | Conduct::ChangeAtOnce => {
            change(address, spec, &mut subscriber, &mut follower);
            before_change = follower.stream_mut(names[names.len() - 1]).count();
        }
    }
    while !follower.is_complete() {
        follower.check(subscriber.message());
    }
    // Behind the last event of a stream nothing is expected; of one that was joined, older events may still come.
    done.and_goodbye(&mut subscriber, |message| follower.check(message));
    follower.assert_final_books();
    let streams = follower.streams();
    Report {
        events: streams.iter().map(Followed::count).sum(),
        events_after: streams[streams.len() - 1].count() - before_change,
    }
}

/// Takes some events, leaves the last stream and comes back to it with a new snapshot. The other stream goes on through
/// all of this without a gap.
fn change(address: SocketAddr, spec: &Spec, subscriber: &mut Subscriber, follower: &mut Follower) {
    let names = spec.names();
    let changed = names[names.len() - 1];
    while follower.stream_mut(changed).count() < EVENTS_BEFORE_CHANGE {
        follower.check(subscriber.message());
    }
    let leave = subscription("UNSUBSCRIBE", &[changed], 2);
    let come_back = subscription("SUBSCRIBE", &[changed], 3);
    if spec.conduct == Conduct::ChangeAtOnce {
        subscriber.request(&[&leave, &come_back]);
        check_to_reply(2, subscriber, follower);
    } else {
        subscriber.request(&[&leave]);
        check_to_reply(2, subscriber, follower);
        subscriber.request(&[&come_back]);
    }
    let before = follower.stream_mut(changed).count();
    check_to_reply(3, subscriber, follower);
    assert_eq!(follower.stream_mut(changed).count(), before, "{changed} was left");
    follower
        .stream_mut(changed)
        .begin_anywhere(Some(rest_mirror(address)));
}

/// Checks events up to the reply to a request.
fn check_to_reply(id: u32, subscriber: &mut Subscriber, follower: &mut Follower) {
    let reply = format!(r#"{{"result":null,"id":{id}}}"#);
    loop {
        match subscriber.message() {
            Message::Text(text) if text == reply => return,
            message => follower.check(message),
        }
    }
}

#[test]
fn every_subscriber_has_the_recorded_book_after_every_event() {
    let specs = specs();
    let engine = start(settings(
        &capture(),
        &format!("speed=max&start={THERE_FROM_THE_START}"),
    ));
    let reports = to_the_end(engine, &specs, follow);
    let joined = |is: fn(Conduct) -> bool| {
        let chosen = specs.iter().zip(&reports).filter(|(spec, _)| is(spec.conduct));
        chosen.map(|(_, report)| report.events_after).collect::<Vec<_>>()
    };
    let changed = joined(|conduct| matches!(conduct, Conduct::Change | Conduct::ChangeAtOnce));
    let late = joined(|conduct| matches!(conduct, Conduct::Late(_)));
    let events: usize = reports.iter().map(|report| report.events).sum();
    println!("{events} events; after a change {changed:?}; after joining late {late:?}");
    assert_eq!((changed.len(), late.len()), (16, 8));
    let in_the_middle = changed.iter().chain(&late).filter(|events| **events > 0).count();
    assert!(
        in_the_middle >= 12,
        "only {in_the_middle} of 24 were back before the end"
    );
}
