//! What one connection is subscribed to: requests, and where each change of its streams takes effect.

use depthcast_wire::control::{self, Method, RequestError, RequestErrorCode};
use depthcast_wire::stream::{StreamKind, StreamName};

use super::market::Event;
use super::owed::Item;
use super::peer::Peer;
use super::{Checked, ensure};
use crate::session::encoding::Encoding;

/// A change of subscription that takes effect where the market thread says.
#[derive(Debug)]
pub(super) struct Wait {
    /// The streams that it wants in the end, and those that it has when this takes effect.
    names: Vec<StreamName>,
    pub(super) joined: Vec<StreamName>,
    pub(super) encoding: Encoding,
    with_snapshots: bool,
    /// Those that begin with a snapshot.
    pub(super) snapshots: Vec<StreamName>,
    pub(super) replies: Vec<Item>,
}

impl Peer {
    /// Whether it counts as a subscriber.
    pub(super) fn has_streams(&self) -> bool {
        self.wait.is_some() || !self.received.is_empty()
    }

    /// The streams that it receives, and how they are written.
    pub(super) fn received(&self) -> impl Iterator<Item = (StreamName, Encoding)> {
        self.received.keys().map(|&name| (name, self.received_as))
    }

    /// A request has come, whole.
    pub(super) fn on_request(&mut self, text: &str) {
        let mut reply = Vec::new();
        match control::parse_request(text) {
            Err(error) => control::write_error(&mut reply, &error),
            Ok(request) => match request.method {
                Method::Subscribe(names) => {
                    let mut wanted = self.streams();
                    names.iter().for_each(|name| {
                        if !wanted.contains(name) {
                            wanted.push(*name);
                        }
                    });
                    let most = self.rules.session.streams_max;
                    if wanted.len() > most {
                        let error = RequestError {
                            code: RequestErrorCode::InvalidRequest,
                            message: format!("Invalid request: more than {most} streams on one connection"),
                            id: request.id,
                        };
                        control::write_error(&mut reply, &error);
                    } else {
                        self.set_streams(wanted);
                        control::write_ok(&mut reply, &request.id);
                    }
                }
                Method::Unsubscribe(names) => {
                    let wanted = self.streams().into_iter().filter(|name| !names.contains(name));
                    self.set_streams(wanted.collect());
                    control::write_ok(&mut reply, &request.id);
                }
                Method::ListSubscriptions => {
                    let mut names = self.streams();
                    names.sort_unstable();
                    control::write_list(&mut reply, &request.id, names);
                }
                Method::GetProperty => {
                    control::write_bool(&mut reply, &request.id, self.encoding.wraps_json());
                }
                Method::SetProperty { combined } => {
                    control::write_ok(&mut reply, &request.id);
                    self.set_encoding(combined, Item::text(reply));
                    return;
                }
            },
        }
        self.send(Item::text(reply));
    }

    fn streams(&self) -> Vec<StreamName> {
        match &self.wait {
            Some(wait) => wait.names.clone(),
            None => self.received.keys().copied().collect(),
        }
    }

    pub(super) fn set_streams(&mut self, names: Vec<StreamName>) {
        let replies = self.wait.take().map_or_else(Vec::new, |wait| wait.replies);
        self.change(names, self.encoding, self.with_snapshots, replies);
    }

    fn set_encoding(&mut self, combined: bool, reply: Item) {
        self.encoding = self.encoding.with_combined(combined);
        let names = self.streams();
        let waited = self.wait.take();
        let with_snapshots = waited.as_ref().is_some_and(|wait| wait.with_snapshots);
        let mut replies = waited.map_or_else(Vec::new, |wait| wait.replies);
        replies.push(reply);
        self.change(names, self.encoding, with_snapshots, replies);
    }

    /// What is received in another encoding goes over to the new one first, all at one place. Depth streams that are new
    /// then wait for their snapshots, where they begin with one; everything else begins at once.
    fn change(
        &mut self,
        names: Vec<StreamName>,
        encoding: Encoding,
        with_snapshots: bool,
        replies: Vec<Item>,
    ) {
        let is_received = |name: &StreamName| self.received.contains_key(name);
        let mut wait = Wait {
            joined: names.clone(),
            encoding,
            with_snapshots,
            snapshots: Vec::new(),
            replies: Vec::new(),
            names,
        };
        if !self.received.is_empty() && self.received_as != encoding && !wait.names.is_empty() {
            wait.joined.retain(is_received);
            wait.replies = replies;
            self.wait = Some(wait);
            return;
        }
        if with_snapshots {
            let begins_with_one = |name: &&StreamName| name.kind == StreamKind::Depth && !is_received(name);
            wait.snapshots = wait.names.iter().filter(begins_with_one).copied().collect();
        }
        let at_once = wait.names.iter().filter(|name| !wait.snapshots.contains(name));
        self.receive(&at_once.copied().collect::<Vec<_>>(), encoding);
        for reply in replies {
            self.owed.queue(reply, &self.rules);
        }
        if !wait.snapshots.is_empty() {
            self.wait = Some(wait);
        }
    }

    /// From here on it gets these, those that it had without a gap.
    fn receive(&mut self, names: &[StreamName], encoding: Encoding) {
        let is_same = self.received.len() == names.len()
            && names.iter().all(|name| self.received.contains_key(name))
            && (names.is_empty() || self.received_as == encoding);
        if is_same {
            return;
        }
        self.owed.change(&self.rules);
        let next = |name: &StreamName| self.received.get(name).copied().flatten();
        self.received = names.iter().map(|name| (*name, next(name))).collect();
        self.received_as = encoding;
    }

    /// Something has happened in the market.
    pub(super) fn on_event(&mut self, event: &Event) -> Checked {
        if self.received_as == event.encoding
            && let Some(next) = self.received.get_mut(&event.name)
        {
            ensure!(
                next.is_none_or(|next| next == event.number),
                "{} goes on with {} where {next:?} was due",
                event.name,
                event.number
            );
            *next = Some(event.number + 1);
            self.owed.publish(event.item.clone());
        }
        Ok(())
    }

    /// What it waited for takes effect, with these snapshots, each after an event of its stream. With `is_late`
    /// one of its streams was forgotten meanwhile, and it goes on waiting.
    pub(super) fn on_joined(&mut self, snapshots: &[Event], is_late: bool) {
        let Some(wait) = self.wait.take() else { return };
        if is_late {
            self.wait = Some(wait);
            return;
        }
        self.receive(&wait.joined, wait.encoding);
        for reply in wait.replies {
            self.owed.queue(reply, &self.rules);
        }
        for snapshot in snapshots {
            self.received.insert(snapshot.name, Some(snapshot.number + 1));
            self.owed.queue_shared(snapshot.item.clone());
        }
        if wait.joined.len() < wait.names.len() {
            self.change(wait.names, wait.encoding, wait.with_snapshots, Vec::new());
        }
    }
}
