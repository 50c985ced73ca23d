//! What the market thread answers to REST.

use depthcast_wire::stream::SymbolName;

use super::{DepthAnswer, Market};
use crate::reactor::questions::{Answer, Ask, Content, NoAnswer, Question, Revision};

impl Market {
    pub(super) fn on_ask(&self, ask: Ask) {
        // A requester that has gone away needs no answer.
        let _ = ask.reply.send(self.answer(&ask.question, ask.known));
    }

    fn answer(&self, question: &Question, known: Option<Revision>) -> Result<Answer, NoAnswer> {
        let epoch = self.epoch.ok_or(NoAnswer::NotNow)?;
        match question {
            Question::Depth { symbol, limit } => {
                let index = self.named(*symbol).ok_or(NoAnswer::UnknownSymbol)?;
                let symbol = &self.symbols[index];
                let revision = Revision {
                    epoch,
                    change: symbol.last_id(),
                };
                let levels = if known == Some(revision) { 0 } else { *limit };
                match symbol.depth(levels) {
                    DepthAnswer::Book(instrument, top) => Ok(Answer {
                        revision,
                        content: (known != Some(revision)).then_some(Content::Depth(instrument, top)),
                    }),
                    DepthAnswer::Stale | DepthAnswer::UnknownSymbol => Err(NoAnswer::NotNow),
                }
            }
            Question::Instruments => {
                // They are the same for a whole history.
                let revision = Revision { epoch, change: 0 };
                let all = || {
                    self.symbols
                        .iter()
                        .map(|symbol| symbol.instrument().clone())
                        .collect()
                };
                Ok(Answer {
                    revision,
                    content: (known != Some(revision)).then(|| Content::Instruments(all())),
                })
            }
            _ => Err(NoAnswer::NotNow),
        }
    }

    #[cfg(test)]
    pub(super) fn depth(&self, symbol: SymbolName, limit: usize) -> DepthAnswer {
        match self.named(symbol) {
            // Before the first history nobody knows which symbols there are.
            None if self.epoch.is_none() => DepthAnswer::Stale,
            None => DepthAnswer::UnknownSymbol,
            Some(index) => self.symbols[index].depth(limit),
        }
    }

    /// The place of a symbol that REST names, in upper case; streams are named in lower case.
    fn named(&self, symbol: SymbolName) -> Option<usize> {
        let lower = SymbolName::new(&symbol.as_str().to_ascii_lowercase())?;
        self.by_name.get(&lower).copied()
    }
}
