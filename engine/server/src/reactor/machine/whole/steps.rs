//! What may happen to the whole of it, and how often each of it does.

use proptest::prelude::*;

use super::client::{KINDS_LEN, Manner, Say};
use super::exchange::{Change, SYMBOLS_LEN};
use crate::reactor::machine::socket::ENDLESS;
use crate::reactor::machine::turn::Slices;

/// Clients at a time.
pub(super) const CLIENTS: usize = 6;

/// Steps of a case at most; half of that on average.
const STEPS_MAX: usize = 300;

/// A sequence of steps, after which comes a calm.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) workers: usize,
    /// The feed goes on while workers are behind.
    pub(super) is_live: bool,
    pub(super) steps: Vec<Step>,
}

/// From where a client that connects goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    Anew,
    /// Where it left off the last time.
    LeftOff,
    /// So many ids behind what the engine knows.
    Back(u64),
    /// So many ids past it.
    Future(u64),
    /// In another history.
    OtherEpoch(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Connect {
        place: usize,
        manner: Manner,
        streams: Vec<(usize, usize)>,
        from: From,
        room: usize,
    },
    Say {
        place: usize,
        say: Say,
    },
    End {
        place: usize,
    },
    Reset {
        place: usize,
    },
    /// The sockets of these clients, a bit each, take so many bytes more.
    Room {
        places: u8,
        bytes: usize,
    },
    /// They take nothing.
    Dry {
        places: u8,
    },
    /// The book of a symbol changes: the engine is told, or (`is_lost`) is not.
    Depth {
        symbol: usize,
        ids: Vec<Vec<Change>>,
        is_lost: bool,
    },
    Best {
        symbol: usize,
    },
    Trade {
        symbol: usize,
        price: i64,
        qty: i64,
        is_buyer_maker: bool,
    },
    /// The feed breaks: with `is_down` nothing is heard of it until it heals, else only its books are not.
    Break {
        is_down: bool,
    },
    /// The link is there again; a book of each symbol that is stale comes, as of so many ids ago.
    Heal {
        back: u64,
    },
    /// So many of the symbols are in it; their books are there at once or not.
    Epoch {
        symbols: usize,
        has_books: bool,
    },
    /// A history begins, and while its worker has still to close those of the last one, somebody connects as one of them did.
    Turnover {
        place: usize,
    },
    Time {
        ms: i64,
    },
    /// The market thread takes so many messages of the feed.
    Market {
        messages: usize,
    },
    Turn {
        worker: usize,
        slices: Slices,
    },
    /// Everything heals and everybody reads; after it the sockets have so much room.
    Calm {
        room: usize,
    },
    /// A client is conflated again and again.
    Squeeze {
        place: usize,
    },
}

fn manner() -> impl Strategy<Value = Manner> {
    let often = prop::bool::weighted;
    let lag = prop_oneof![3 => Just(None), 2 => Just(Some(true)), 1 => Just(Some(false))];
    (often(0.3), often(0.4), often(0.2), often(0.5), lag).prop_map(
        |(sbe, combined, micros, snapshots, lag)| Manner {
            sbe,
            combined,
            micros,
            snapshots,
            lag,
        },
    )
}

/// Mostly such as can be conflated.
fn streams() -> impl Strategy<Value = Vec<(usize, usize)>> {
    let symbol = || prop_oneof![5 => Just(0), 4 => 0..SYMBOLS_LEN, 1 => Just(SYMBOLS_LEN)];
    let plain = || {
        (
            symbol(),
            prop_oneof![5 => 0usize..9, 3 => 9usize..14, 1 => Just(16)],
        )
    };
    let any = (symbol(), 0..KINDS_LEN);
    prop_oneof![
        3 => prop::collection::vec(plain(), 1..3),
        2 => prop::collection::vec(plain(), 1..5),
        1 => prop::collection::vec(any, 1..6),
    ]
}

fn room() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0usize..500, 6 => 400usize..3000, 3 => 3000usize..40_000]
}

fn say() -> impl Strategy<Value = Say> {
    prop_oneof![
        8 => streams().prop_map(Say::Subscribe),
        8 => any::<u8>().prop_map(Say::Unsubscribe),
        4 => any::<bool>().prop_map(Say::Combined),
        1 => Just(Say::List),
        2 => Just(Say::Ping),
        1 => Just(Say::Close),
    ]
}

fn slices() -> impl Strategy<Value = Slices> {
    let few = || prop_oneof![3 => Just(64usize), 1 => 0usize..4];
    (few(), few(), few(), few(), few()).prop_map(|(reads, sweeps, messages, visits, timers)| Slices {
        reads,
        sweeps: sweeps as u32,
        messages,
        visits,
        timers,
    })
}

fn connect() -> impl Strategy<Value = Step> {
    let from = prop_oneof![
        4 => Just(From::Anew),
        5 => Just(From::LeftOff),
        3 => (0u64..40).prop_map(From::Back),
        1 => (1u64..20).prop_map(From::Future),
        1 => (0u64..40).prop_map(From::OtherEpoch),
    ];
    let room = prop_oneof![1 => Just(ENDLESS), 2 => room()];
    (0..CLIENTS, manner(), streams(), from, room).prop_map(|(place, manner, streams, from, room)| {
        Step::Connect {
            place,
            manner,
            streams,
            from,
            room,
        }
    })
}

fn change() -> impl Strategy<Value = Change> {
    (any::<bool>(), 0i64..8, 0i64..4).prop_map(|(is_bid, far, qty)| Change { is_bid, far, qty })
}

fn depth() -> impl Strategy<Value = Step> {
    let ids = prop::collection::vec(prop::collection::vec(change(), 0..4), 1..5);
    let symbol = prop_oneof![1 => Just(0), 1 => 0..SYMBOLS_LEN];
    (symbol, ids, prop::bool::weighted(0.03)).prop_map(|(symbol, ids, is_lost)| Step::Depth {
        symbol,
        ids,
        is_lost,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..CLIENTS;
    let symbol = || 0..SYMBOLS_LEN;
    let ms = prop_oneof![
        4 => 1i64..20,
        4 => Just(10i64),
        4 => prop_oneof![Just(50i64), Just(100), Just(250)],
        2 => prop_oneof![Just(500i64), Just(1000)],
        1 => Just(3000i64),
    ];
    prop_oneof![
        90 => depth(),
        100 => (0usize..2, slices()).prop_map(|(worker, slices)| Step::Turn { worker, slices }),
        60 => (0usize..12).prop_map(|messages| Step::Market { messages }),
        50 => ms.prop_map(|ms| Step::Time { ms }),
        40 => (any::<u8>(), room()).prop_map(|(places, bytes)| Step::Room { places, bytes }),
        8 => any::<u8>().prop_map(|places| Step::Dry { places }),
        30 => connect(),
        26 => (place(), say()).prop_map(|(place, say)| Step::Say { place, say }),
        12 => symbol().prop_map(|symbol| Step::Best { symbol }),
        12 => (symbol(), 0i64..3, 1i64..5, any::<bool>()).prop_map(|(symbol, price, qty, is_buyer_maker)| {
            Step::Trade { symbol, price, qty, is_buyer_maker }
        }),
        3 => any::<bool>().prop_map(|is_down| Step::Break { is_down }),
        8 => prop_oneof![2 => Just(0u64), 1 => 0u64..12].prop_map(|back| Step::Heal { back }),
        2 => (prop_oneof![3 => Just(SYMBOLS_LEN), 1 => 1..SYMBOLS_LEN], any::<bool>())
            .prop_map(|(symbols, has_books)| Step::Epoch { symbols, has_books }),
        2 => place().prop_map(|place| Step::Turnover { place }),
        2 => place().prop_map(|place| Step::End { place }),
        2 => place().prop_map(|place| Step::Reset { place }),
        3 => room().prop_map(|room| Step::Calm { room }),
        1 => place().prop_map(|place| Step::Squeeze { place }),
    ]
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let steps = prop::collection::vec(step(), 1..=STEPS_MAX);
    (1usize..3, any::<bool>(), steps).prop_map(|(workers, is_live, steps)| Case {
        workers,
        is_live,
        steps,
    })
}
