//! stub
use super::{FeedEnd, FeedLinks};
use crate::reactor::messages::FeedSymbol;

/// Stub.
#[derive(Debug)]
pub struct LinkFeed {}

impl LinkFeed {
    /// Stub.
    pub fn open(_addresses: &[String]) -> Result<LinkFeed, LinkFeedError> {
        Ok(LinkFeed {})
    }

    pub(super) fn symbols(&self) -> Vec<FeedSymbol> {
        Vec::new()
    }
    pub(super) fn run(self, _links: FeedLinks) -> FeedEnd {
        FeedEnd::Stopped
    }
}
/// Stub.
#[derive(Debug, thiserror::Error)]
pub enum LinkFeedError {}
