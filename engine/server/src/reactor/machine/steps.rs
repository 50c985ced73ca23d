//! What may happen, and how often each of it does.

use proptest::prelude::*;

use super::socket::ENDLESS;
use super::speech::{Hello, Say};
use super::turn::Slices;
use super::world::PEERS;
use crate::session::TurnedAway;

/// Steps of a case at most; half of that on average.
const STEPS_MAX: usize = 600;

/// Steps behind the engine's end.
const STOPPING_STEPS_MAX: usize = 60;

/// A sequence of steps, after which everybody reads to the end and leaves.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) steps: Vec<Step>,
    /// The engine ends before that.
    pub(super) stop: Option<Stop>,
}

#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) at_once: bool,
    /// What happens then.
    pub(super) then: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Connect {
        place: usize,
        hello: Hello,
        room: usize,
        turned_away: Option<TurnedAway>,
        hold: usize,
    },
    /// These peers, a bit each, say the same. With `cut` in two fragments; the last `hold` bytes arrive with what is said
    /// next.
    Say {
        places: u8,
        say: Say,
        cut: Option<usize>,
        hold: usize,
    },
    EndOfStream {
        place: usize,
    },
    /// The connections of these peers, a bit each, break.
    Reset {
        places: u8,
    },
    /// The sockets of these peers, a bit each, take so many bytes more.
    Room {
        places: u8,
        bytes: usize,
    },
    Publish {
        streams: u8,
        count: usize,
        len: usize,
    },
    /// The market thread reads so many requests.
    Market {
        requests: usize,
    },
    /// It answers one of those that wait.
    Answer {
        which: usize,
        is_good: bool,
    },
    EndTopic {
        which: usize,
    },
    Epoch,
    Time {
        ticks: u32,
    },
    Turn(Slices),
}

fn hello() -> impl Strategy<Value = Hello> {
    // Mostly of one encoding, so that connections share groups.
    let often = prop::bool::weighted;
    let upgrade = (often(0.15), often(0.2), often(0.35), often(0.1), streams());
    prop_oneof![
        20 => upgrade.prop_map(|(sbe, combined, snapshots, micros, streams)| Hello::Upgrade {
            sbe,
            combined,
            snapshots,
            micros,
            streams,
        }),
        1 => Just(Hello::Unfinished),
        1 => (0u8..6).prop_map(Hello::Bad),
        1 => Just(Hello::Elsewhere),
    ]
}

/// Some sets more often than others, so that connections share groups.
fn streams() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(1u8), 4 => Just(3u8), 1 => Just(0u8), 3 => 0u8..32]
}

fn say() -> impl Strategy<Value = Say> {
    let code = prop_oneof![Just(None), Just(Some(1000)), Just(Some(4000))];
    prop_oneof![
        30 => streams().prop_map(Say::Subscribe),
        24 => streams().prop_map(Say::Unsubscribe),
        6 => Just(Say::List),
        12 => any::<bool>().prop_map(Say::SetCombined),
        3 => Just(Say::GetCombined),
        3 => (0u8..6).prop_map(Say::Malformed),
        1 => (1000usize..65_000).prop_map(Say::Long),
        9 => (0u8..126).prop_map(Say::Ping),
        9 => Just(Say::Pong),
        3 => (2usize..40).prop_map(Say::Pings),
        1 => (2000usize..4000).prop_map(Say::Pings),
        1 => Just(Say::Binary),
        1 => (0u8..4).prop_map(Say::Bad),
        2 => code.prop_map(Say::Close),
    ]
}

/// What several say at once, so that they come into a group and leave it together.
fn change() -> impl Strategy<Value = Say> {
    prop_oneof![
        3 => streams().prop_map(Say::Subscribe),
        3 => prop_oneof![Just(31u8), streams()].prop_map(Say::Unsubscribe),
        1 => any::<bool>().prop_map(Say::SetCombined),
    ]
}

fn room() -> impl Strategy<Value = usize> {
    prop_oneof![12 => 0usize..400, 6 => 400usize..2000, 1 => 2000usize..200_000]
}

fn hold() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0usize), 1 => 1usize..60]
}

fn slices() -> impl Strategy<Value = Slices> {
    let few = || prop_oneof![2 => Just(64usize), 3 => 0usize..4];
    let visits = prop_oneof![1 => Just(64usize), 4 => 0usize..6];
    (few(), few(), few(), visits, few()).prop_map(|(reads, sweeps, messages, visits, timers)| Slices {
        reads,
        sweeps: sweeps as u32,
        messages,
        visits,
        timers,
    })
}

fn connect() -> impl Strategy<Value = Step> {
    let room = prop_oneof![1 => Just(ENDLESS), 3 => room()];
    (0..PEERS, hello(), room, turned_away(), hold()).prop_map(|(place, hello, room, turned_away, hold)| {
        Step::Connect {
            place,
            hello,
            room,
            turned_away,
            hold,
        }
    })
}

fn turned_away() -> impl Strategy<Value = Option<TurnedAway>> {
    let too_many = TurnedAway::for_ticks(70);
    prop_oneof![48 => Just(None), 1 => Just(Some(too_many)), 1 => Just(Some(TurnedAway::NoRoom))]
}

fn publish() -> impl Strategy<Value = Step> {
    let count = prop_oneof![40 => 1usize..4, 6 => 4usize..20, 3 => 60usize..130];
    let len = prop_oneof![80 => 0usize..200, 8 => 200usize..2000, 1 => 60_000usize..70_000];
    let streams = prop_oneof![2 => Just(31u8), 3 => streams()];
    (streams, count, len).prop_map(|(streams, count, len)| Step::Publish {
        streams,
        count: if len > 2000 { count % 8 } else { count },
        len,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let cut = prop::option::weighted(0.15, any::<usize>());
    let places = 0..PEERS;
    prop_oneof![
        70 => slices().prop_map(Step::Turn),
        45 => publish(),
        45 => (1u8..64, room()).prop_map(|(places, bytes)| Step::Room { places, bytes }),
        35 => (places.clone(), say(), cut, hold()).prop_map(|(place, say, cut, hold)| Step::Say {
            places: 1 << place,
            say,
            cut,
            hold,
        }),
        8 => (any::<u8>(), change()).prop_map(|(places, say)| Step::Say {
            places,
            say,
            cut: None,
            hold: 0,
        }),
        20 => connect(),
        25 => (1usize..10).prop_map(|requests| Step::Market { requests }),
        10 => (0usize..8, prop::bool::weighted(0.9))
            .prop_map(|(which, is_good)| Step::Answer { which, is_good }),
        12 => (1u32..10).prop_map(|ticks| Step::Time { ticks }),
        2 => places.clone().prop_map(|place| Step::EndOfStream { place }),
        1 => places.prop_map(|place| Step::Reset { places: 1 << place }),
        1 => any::<u8>().prop_map(|places| Step::Reset { places }),
        1 => (0usize..30).prop_map(|which| Step::EndTopic { which }),
        1 => Just(Step::Epoch),
    ]
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let steps = |most| prop::collection::vec(step(), 1..=most);
    let stop = (any::<bool>(), steps(STOPPING_STEPS_MAX)).prop_map(|(at_once, then)| Stop { at_once, then });
    (steps(STEPS_MAX), prop::option::of(stop)).prop_map(|(steps, stop)| Case { steps, stop })
}
