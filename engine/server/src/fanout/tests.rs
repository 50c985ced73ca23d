//! The fan-out against a plain model, on virtual sockets: whatever the order of publishing, blocking, subscribing,
//! replying, leaving and flushing, each member gets every frame of its topics, whole, in order and exactly once.

mod world;

use proptest::prelude::*;

use self::world::World;
use super::*;

const MEMBERS: u32 = 6;
const TOPICS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Publish {
        topic: usize,
        len: usize,
    },
    SetTopics {
        member: u32,
        mask: u8,
    },
    Reply {
        member: u32,
        len: usize,
    },
    /// The socket takes so many more bytes.
    Room {
        member: u32,
        bytes: usize,
    },
    Flush {
        visits: usize,
    },
    Abandon {
        member: u32,
    },
    Conflate {
        member: u32,
    },
    Reconnect {
        member: u32,
        is_answered: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    prop_oneof![
        6 => (0..TOPICS, 1usize..40).prop_map(|(topic, len)| Step::Publish { topic, len }),
        2 => (member.clone(), 0u8..16).prop_map(|(member, mask)| Step::SetTopics { member, mask }),
        2 => (member.clone(), 1usize..20).prop_map(|(member, len)| Step::Reply { member, len }),
        4 => (member.clone(), 0usize..100).prop_map(|(member, bytes)| Step::Room { member, bytes }),
        6 => (0usize..8).prop_map(|visits| Step::Flush { visits }),
        1 => member.clone().prop_map(|member| Step::Abandon { member }),
        1 => member.clone().prop_map(|member| Step::Conflate { member }),
        1 => (member, any::<bool>()).prop_map(|(member, is_answered)| Step::Reconnect { member, is_answered }),
    ]
}

const ROOMY: FanoutLimits = FanoutLimits {
    retention_bytes: 1 << 20,
    prefix_bytes_max: 1 << 20,
    lossless: false,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_member_gets_its_frames_whole_in_order_and_once(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new(ROOMY);
        for step in &steps {
            world.step(step);
            (0..MEMBERS).for_each(|member| world.check(member, false));
            world.check_counts();
        }
        world.finish();
        for member in 0..MEMBERS {
            world.step(&Step::Abandon { member });
            world.fanout.remove(member);
        }
        world.drain_events();
        prop_assert_eq!(world.fanout.groups.len(), 1);
        prop_assert!(world.topics.is_empty(), "a topic that nobody wants is reported idle");
    }
}

#[test]
fn a_topic_that_is_wanted_again_before_its_idleness_is_seen_stays() {
    let mut world = World::new(ROOMY);
    world.set_topics(0, [0].into());
    world.set_topics(0, [].into());
    world.set_topics(1, [1].into());
    world.set_topics(2, [0].into());
    assert_ne!(world.topics[&0], world.topics[&1]);
    world.drain_events();
    assert_eq!(world.topics.len(), 2);
    world.step(&Step::Publish { topic: 0, len: 30 });
    world.step(&Step::Publish { topic: 1, len: 30 });
    world.finish();
}

#[test]
fn a_pass_over_members_at_one_cursor_writes_each_once() {
    let mut world = World::of_one_group();
    for _ in 0..64 {
        world.step(&Step::Publish { topic: 0, len: 30 });
    }
    world.step(&Step::Flush { visits: 100 });
    (0..MEMBERS).for_each(|member| world.check(member, true));
    assert!(
        world.sockets.0.values().all(|socket| socket.writes == 1),
        "64 frames leave in one write each"
    );
    assert_eq!(world.fanout.groups.len(), 2);
}

#[test]
fn one_who_does_not_read_overruns_the_retention_alone() {
    let mut world = World::new(FanoutLimits {
        retention_bytes: 100,
        ..ROOMY
    });
    for member in [0, 1] {
        world.set_topics(member, [0].into());
    }
    for _ in 0..6 {
        world.step(&Step::Room { member: 0, bytes: 30 });
        world.step(&Step::Publish { topic: 0, len: 30 });
        world.step(&Step::Flush { visits: 10 });
    }
    assert!(world.fanout.is_over_retention());
    world.fanout.enforce_retention();
    world.drain_events();
    assert_eq!(
        world.events,
        [FanoutEvent::Blocked(1), FanoutEvent::Overrun(1, 180)]
    );
    world.step(&Step::Abandon { member: 1 });
    assert!(!world.fanout.is_over_retention());
    world.finish();
}

#[test]
fn a_prefix_at_its_bound_refuses() {
    let mut world = World::new(FanoutLimits {
        prefix_bytes_max: 50,
        ..ROOMY
    });
    world.set_topics(0, [0].into());
    world.step(&Step::Publish { topic: 0, len: 30 });
    assert_eq!(
        world.fanout.queue(0, Bytes::from(vec![1; 21])),
        Err(FanoutError::PrefixFull)
    );
    world.step(&Step::Publish { topic: 0, len: 30 });
    assert_eq!(world.fanout.set_topics(0, &[]), Err(FanoutError::PrefixFull));
    world.finish();
}

#[test]
fn the_run_of_a_group_that_is_gone_is_not_sent_to_its_successor() {
    let mut world = World::new(ROOMY);
    for member in 0..3 {
        world.set_topics(member, [0].into());
        world.step(&Step::Room {
            member,
            bytes: 1 << 20,
        });
    }
    world.step(&Step::Publish { topic: 0, len: 30 });
    world.step(&Step::Publish { topic: 0, len: 30 });
    world.step(&Step::Flush { visits: 1 });
    for member in 0..3 {
        world.fanout.remove(member);
        world.connect(member);
    }
    for member in 0..3 {
        world.set_topics(member, [1].into());
        world.step(&Step::Room {
            member,
            bytes: 1 << 20,
        });
    }
    world.step(&Step::Publish { topic: 1, len: 30 });
    world.step(&Step::Publish { topic: 1, len: 30 });
    world.finish();
}

#[test]
fn progress_is_told_of_a_lossless_fan_out_only() {
    for lossless in [false, true] {
        let mut world = World::new(FanoutLimits { lossless, ..ROOMY });
        world.set_topics(0, [0].into());
        world.step(&Step::Publish { topic: 0, len: 30 });
        for bytes in [10, 10, 0, 10] {
            world.step(&Step::Room { member: 0, bytes });
            world.step(&Step::Flush { visits: 10 });
        }
        let mut told = vec![FanoutEvent::Blocked(0)];
        if lossless {
            told.push(FanoutEvent::Progressed(0));
        }
        told.push(FanoutEvent::CaughtUp(0));
        assert_eq!(world.events, told);
        world.finish();
    }
}

#[test]
fn one_that_is_owed_much_costs_the_others_no_visits() {
    let mut world = World::of_one_group();
    // Several writes' worth of replies for one member.
    for _ in 0..300 {
        world.step(&Step::Reply { member: 0, len: 1 });
    }
    let visits = world.fanout.flush(&mut world.sockets, 1000);
    assert_eq!(visits, 300usize.div_ceil(64));
    world.step(&Step::Publish { topic: 0, len: 10 });
    world.finish();
}

#[test]
fn members_that_catch_up_together_are_told_of_one_by_one() {
    let mut world = World::of_one_group();
    for socket in world.sockets.0.values_mut() {
        socket.room = 0;
    }
    world.step(&Step::Publish { topic: 0, len: 10 });
    world.step(&Step::Flush { visits: 10 });
    world.fanout.watch_drained(2);
    assert_eq!(world.fanout.lagging(), MEMBERS);
    world.events.clear();
    world.finish();
    let is_caught_up = |event: &&FanoutEvent| matches!(event, FanoutEvent::CaughtUp(_));
    assert_eq!(world.events.iter().filter(is_caught_up).count(), MEMBERS as usize);
    assert!(world.events.contains(&FanoutEvent::Drained(2)));
}

#[test]
fn an_owner_is_told_when_a_member_owes_nothing() {
    let mut world = World::new(ROOMY);
    world.fanout.watch_drained(1);
    world.step(&Step::Reply { member: 0, len: 10 });
    world.fanout.watch_drained(0);
    world.step(&Step::Room { member: 0, bytes: 4 });
    world.step(&Step::Flush { visits: 10 });
    assert_eq!(world.events, [FanoutEvent::Drained(1), FanoutEvent::Blocked(0)]);
    world.step(&Step::Room { member: 0, bytes: 6 });
    world.step(&Step::Flush { visits: 10 });
    assert_eq!(
        world.events[2..],
        [FanoutEvent::CaughtUp(0), FanoutEvent::Drained(0)]
    );
}
