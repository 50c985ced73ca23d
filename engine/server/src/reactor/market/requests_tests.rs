//! Requests beside the feed: before it, through epochs, and while a worker is full.

use std::sync::atomic::Ordering;

use crossbeam_channel::bounded;
use depthcast_wire::time_unit::TimeUnit;

use super::tests::Rig;
use super::*;
use crate::reactor::questions::{Ask, Content, Question};
use crate::session::encoding::Encoding;

const RAW: Encoding = Encoding::Json {
    combined: false,
    time_unit: TimeUnit::Millisecond,
};

#[test]
fn subscriptions_may_come_before_the_feed_and_survive_an_epoch() {
    let mut rig = Rig::new();
    let stream = rig.want("btcusdt@depth@100ms", RAW);
    rig.want("nosuch@trade", RAW);
    rig.begin();
    assert_eq!(rig.market.counters.unknown_symbols.load(Ordering::Relaxed), 1);
    for epoch in 0..2 {
        rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
        rig.depth(1100, 11..=11, &[(100, 2)], &[]);
        assert_eq!(rig.frames().len(), 1, "epoch {epoch}");
        assert!(rig.inbox.take().is_err());
        rig.begin();
        assert!(rig.market.outbox.try_hand_on());
        assert!(matches!(
            rig.inbox.take(),
            Ok(WorkerMessage::Epoch { ends: Some(_), .. })
        ));
        assert_eq!(rig.top(), None, "a new epoch knows no book");
    }
    rig.market.on_request(MarketRequest::Unwant {
        worker: 0,
        token: stream,
    });
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    rig.depth(1100, 11..=11, &[(100, 2)], &[]);
    assert!(rig.frames().is_empty(), "nobody wants it any more");
}

#[test]
fn a_full_worker_keeps_the_feed_waiting_but_not_the_requests() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@depth@100ms", RAW);
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    let mut id = 10;
    while rig.market.outbox.try_hand_on() {
        id += 1;
        rig.depth(1100, id..=id, &[(100, id as i64)], &[]);
    }
    // The epoch has the first place.
    assert_eq!(id as usize, 10 + crate::reactor::mailbox::MAILBOX_MAX);
    let (requests, received) = bounded(2);
    rig.market.requests = received;
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    let question = Question::Depth {
        symbol: SymbolName::new("BTCUSDT").unwrap(),
        limit: 1,
    };
    let ask = Ask {
        question,
        known: None,
        reply,
    };
    requests.send(MarketRequest::Ask(ask)).unwrap();
    requests.send(MarketRequest::Stop { at_once: true }).unwrap();
    rig.market.hand_on();
    assert_eq!(rig.market.stop, Some(Stop::AtOnce), "told while it waits");
    let Ok(Ok(answer)) = answer.try_recv() else {
        panic!("an answer while the worker is full")
    };
    let Some(Content::Depth(_, top)) = answer.content else {
        panic!("{answer:?}")
    };
    assert_eq!(top.last_id, id);
    assert_eq!(rig.frames().len() as u64, id - 10, "nothing is lost");
}
