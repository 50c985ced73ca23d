//! A worker's table of topics: which stream in which encoding goes by which key, and what the market thread has still to
//! be told of it.

use std::collections::{HashMap, VecDeque};

use crossbeam_channel::{Sender, TrySendError};
use depthcast_wire::stream::StreamName;

use super::messages::{Begin, MarketRequest, TopicToken};
use crate::fanout::{Fanout, FanoutError, TopicId};
use crate::session::encoding::Encoding;

#[derive(Clone, Copy, Debug)]
struct Topic {
    name: StreamName,
    encoding: Encoding,
    generation: u32,
}

/// Requests that wait for room in the market's mailbox before no new topic is made. Those that take a topic away are
/// always kept: there are no more of them than topics.
const UNSENT_MAX: usize = 65_536;

/// The topics that connections of one worker want.
#[derive(Debug)]
pub(super) struct Topics {
    worker: usize,
    by_key: HashMap<(StreamName, Encoding), TopicId>,
    /// By topic id.
    topics: Vec<Option<Topic>>,
    generation: u32,
    market: Sender<MarketRequest>,
    /// Requests that the market's mailbox had no room for, in order. See [`UNSENT_MAX`].
    unsent: VecDeque<MarketRequest>,
}

impl Topics {
    pub(super) fn new(worker: usize, market: Sender<MarketRequest>) -> Topics {
        Topics {
            worker,
            by_key: HashMap::new(),
            topics: Vec::new(),
            generation: 0,
            market,
            unsent: VecDeque::new(),
        }
    }

    /// The topics of `names` in `encoding`, sorted; those that were not there are made and asked for.
    pub(super) fn resolve(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        fanout: &mut Fanout,
    ) -> Result<Vec<TopicId>, FanoutError> {
        let mut ids = Vec::with_capacity(names.len());
        for &name in names {
            ids.push(match self.by_key.get(&(name, encoding)) {
                Some(&id) => id,
                None => self.create(name, encoding, fanout)?,
            });
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Gives back those topics of `names` that nobody has come to want: a bound was reached before the subscription
    /// that they were made for.
    pub(super) fn give_back(&mut self, names: &[StreamName], encoding: Encoding, fanout: &mut Fanout) {
        for &name in names {
            if let Some(&id) = self.by_key.get(&(name, encoding))
                && fanout.drop_unused_topic(id)
            {
                self.on_idle(id);
            }
        }
    }

    /// The stream of a topic, and how it is written.
    pub(super) fn name(&self, id: TopicId) -> Option<(StreamName, Encoding)> {
        let topic = self.topics.get(id as usize).copied().flatten()?;
        Some((topic.name, topic.encoding))
    }

    /// The topic of a stream, where somebody wants it.
    pub(super) fn id(&self, name: StreamName, encoding: Encoding) -> Option<TopicId> {
        self.by_key.get(&(name, encoding)).copied()
    }

    /// The name of a topic across threads.
    pub(super) fn token(&self, id: TopicId) -> Option<TopicToken> {
        let topic = self.topics.get(id as usize).copied().flatten()?;
        Some(TopicToken {
            topic: id,
            generation: topic.generation,
        })
    }

    /// Asks the market thread where a connection's streams begin, `begins` among them with more than their next event. It
    /// has been asked for all of them before.
    pub(super) fn ask_to_join(
        &mut self,
        connection: u32,
        number: u32,
        begins: Vec<Begin>,
        encoding: Encoding,
    ) -> Result<(), FanoutError> {
        if self.unsent.len() >= UNSENT_MAX {
            return Err(FanoutError::TableFull);
        }
        self.ask(MarketRequest::Join {
            worker: self.worker,
            connection,
            number,
            begins,
            encoding,
        });
        Ok(())
    }

    /// The topic a frame is for, unless nobody has wanted it for a while.
    pub(super) fn find(&self, token: TopicToken) -> Option<TopicId> {
        let topic = self.topics.get(token.topic as usize)?.as_ref()?;
        (topic.generation == token.generation).then_some(token.topic)
    }

    /// Tells the market thread that a connection does not want to join any more.
    pub(super) fn leave(&mut self, connection: u32) {
        let worker = self.worker;
        self.ask(MarketRequest::Leave { worker, connection });
    }

    /// Forgets a topic that nobody wants any more.
    pub(super) fn on_idle(&mut self, id: TopicId) {
        let Some(topic) = self.topics.get_mut(id as usize).and_then(Option::take) else {
            return;
        };
        self.by_key.remove(&(topic.name, topic.encoding));
        let token = TopicToken {
            topic: id,
            generation: topic.generation,
        };
        let worker = self.worker;
        self.ask(MarketRequest::Unwant { worker, token });
    }

    /// Tells the market thread what its full mailbox had no room for, as far as it has some now.
    pub(super) fn flush(&mut self) {
        while let Some(request) = self.unsent.pop_front() {
            if let Err(TrySendError::Full(request)) = self.market.try_send(request) {
                self.unsent.push_front(request);
                return;
            }
        }
    }

    fn create(
        &mut self,
        name: StreamName,
        encoding: Encoding,
        fanout: &mut Fanout,
    ) -> Result<TopicId, FanoutError> {
        if self.unsent.len() >= UNSENT_MAX {
            return Err(FanoutError::TableFull);
        }
        let id = fanout.create_topic()?;
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        if self.topics.len() <= id as usize {
            self.topics.resize(id as usize + 1, None);
        }
        self.topics[id as usize] = Some(Topic {
            name,
            encoding,
            generation,
        });
        self.by_key.insert((name, encoding), id);
        let token = TopicToken {
            topic: id,
            generation,
        };
        self.ask(MarketRequest::Want {
            worker: self.worker,
            token,
            name,
            encoding,
        });
        Ok(id)
    }

    fn ask(&mut self, request: MarketRequest) {
        // Behind those that wait already: a Want must not overtake the Unwant before it.
        self.unsent.push_back(request);
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::{FanoutEvent, FanoutLimits, TOPICS_MAX};
    use crossbeam_channel::{Receiver, bounded};

    const ROOMY: FanoutLimits = FanoutLimits {
        retention_bytes: 1 << 20,
        prefix_bytes_max: 1 << 20,
        lossless: false,
    };

    struct Rig {
        topics: Topics,
        fanout: Fanout,
        requests: Receiver<MarketRequest>,
        wanted: HashMap<TopicToken, StreamName>,
    }

    impl Rig {
        fn new() -> Rig {
            let (market, requests) = bounded(16);
            let mut fanout = Fanout::new(ROOMY);
            fanout.add(0);
            Rig {
                topics: Topics::new(0, market),
                fanout,
                requests,
                wanted: HashMap::new(),
            }
        }

        fn set(&mut self, name: Option<&str>) {
            let names: Vec<_> = name.into_iter().map(|n| StreamName::parse(n).unwrap()).collect();
            let ids = self
                .topics
                .resolve(&names, Encoding::default(), &mut self.fanout)
                .unwrap();
            self.fanout.set_topics(0, &ids).unwrap();
        }

        fn settle(&mut self) {
            let mut events = Vec::new();
            self.fanout.take_events(&mut events);
            for event in events {
                if let FanoutEvent::TopicIdle(topic) = event
                    && self.fanout.drop_unused_topic(topic)
                {
                    self.topics.on_idle(topic);
                }
            }
        }

        fn streams(&self) -> Vec<String> {
            let ids = self.fanout.topics_of(0);
            ids.filter_map(|id| self.topics.name(id))
                .map(|(name, _)| name.to_string())
                .collect()
        }

        /// What the market was asked for: +stream, -stream, by the token that it was wanted under.
        fn asked(&mut self) -> Vec<String> {
            let mut asked = Vec::new();
            for request in self.requests.try_iter() {
                asked.push(match request {
                    MarketRequest::Want { token, name, .. } => {
                        self.wanted.insert(token, name);
                        format!("+{name}")
                    }
                    MarketRequest::Unwant { token, .. } => {
                        format!(
                            "-{}",
                            self.wanted.remove(&token).expect("a token that was wanted")
                        )
                    }
                    other => panic!("{other:?}"),
                });
            }
            asked
        }
    }

    #[test]
    fn a_stream_left_and_one_taken_in_the_same_turn_keep_apart() {
        let mut rig = Rig::new();
        rig.set(Some("btcusdt@trade"));
        rig.set(None);
        rig.set(Some("btcusdt@depth"));
        rig.settle();
        assert_eq!(rig.streams(), ["btcusdt@depth"]);
        assert_eq!(
            rig.asked(),
            ["+btcusdt@trade", "+btcusdt@depth", "-btcusdt@trade"]
        );
        rig.set(Some("btcusdt@trade"));
        assert_eq!(rig.asked(), ["+btcusdt@trade"]);
        assert_eq!(rig.streams(), ["btcusdt@trade"]);
    }

    #[test]
    fn what_the_market_had_no_room_for_keeps_its_place_before_what_comes_later() {
        let (market, requests) = bounded(1);
        let mut rig = Rig {
            topics: Topics::new(0, market),
            requests,
            ..Rig::new()
        };
        rig.set(Some("btcusdt@trade"));
        rig.set(Some("btcusdt@depth"));
        assert_eq!(rig.asked(), ["+btcusdt@trade"]);
        rig.settle();
        assert_eq!(rig.asked(), ["+btcusdt@depth"]);
        rig.topics.flush();
        assert_eq!(rig.asked(), ["-btcusdt@trade"]);
    }

    #[test]
    fn a_subscription_that_finds_the_table_full_leaves_nothing_behind() {
        let mut rig = Rig::new();
        for _ in 1..TOPICS_MAX {
            rig.fanout.create_topic().unwrap();
        }
        let names = ["btcusdt@trade", "btcusdt@depth"].map(|name| StreamName::parse(name).unwrap());
        let encoding = Encoding::default();
        let resolved = rig.topics.resolve(&names, encoding, &mut rig.fanout);
        assert_eq!(resolved, Err(FanoutError::TableFull));
        rig.topics.give_back(&names, encoding, &mut rig.fanout);
        assert_eq!(rig.asked(), ["+btcusdt@trade", "-btcusdt@trade"]);
        assert!(rig.fanout.create_topic().is_ok());
    }

    #[test]
    fn a_stream_left_and_taken_again_in_the_same_turn_goes_on() {
        let mut rig = Rig::new();
        rig.set(Some("btcusdt@trade"));
        rig.set(None);
        rig.set(Some("btcusdt@trade"));
        rig.settle();
        assert_eq!(rig.streams(), ["btcusdt@trade"]);
        assert_eq!(rig.asked(), ["+btcusdt@trade"]);
    }
}
