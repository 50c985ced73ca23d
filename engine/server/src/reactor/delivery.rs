//! What a worker's connections do with the messages of the market thread.

use std::ops::ControlFlow;

use depthcast_wire::ws::CloseCode;

use super::connections::Connections;
use super::messages::{TopicEnd, WorkerMessage};
use super::socket::Socket;
use crate::session::EndCause;
use crate::session::ending::Goodbye;

/// Why subscribers are closed whose stream cannot go on.
const HISTORY_TOO_SHORT: &str =
    "more changed at once than the engine remembers: reconnect and take a new snapshot";

/// Why subscribers are closed whose stream cannot be told in fewer events.
const ENGINE_BEHIND: &str =
    "the engine is overloaded and cannot tell every event of this stream: try again later";

/// The worker itself is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// Without what the connections are owed still; else after it.
    pub(super) at_once: bool,
}

impl<S: Socket> Connections<S> {
    /// Whether a message may be taken from the mailbox now.
    pub(super) fn takes_messages(&mut self) -> bool {
        // While a round is under way: what comes next is for those that are left. Over the retention, or with no pause for a
        // while: frames wait for members that were not visited yet; the sender waits or merges.
        !self.is_sweeping() && self.is_keeping_up() && !self.fanout.is_over_retention()
    }

    /// Does what the market thread says, unless it is the worker's own to do.
    pub(super) fn deliver(&mut self, message: WorkerMessage) -> ControlFlow<Stop> {
        match message {
            WorkerMessage::Batch(frames) => {
                for frame in frames {
                    if let Some(topic) = self.topics.find(frame.token) {
                        self.fanout.publish(topic, &frame.bytes, frame.ids);
                    }
                }
            }
            WorkerMessage::Joined {
                connection,
                number,
                bodies,
            } => self.on_joined(connection, number, bodies),
            WorkerMessage::EndTopics(tokens, why) => {
                let (reason, cause) = match why {
                    TopicEnd::TooMuchAtOnce => (HISTORY_TOO_SHORT, EndCause::Overload),
                    TopicEnd::EngineBehind => (ENGINE_BEHIND, EndCause::EngineBehind),
                };
                for token in tokens {
                    self.close_topic(token, reason, cause);
                }
            }
            WorkerMessage::Epoch { id, ends } => {
                self.begin_epoch(id);
                if let Some(reason) = ends {
                    self.begin_sweep(Goodbye {
                        code: CloseCode::SERVICE_RESTART,
                        reason,
                        cause: EndCause::Engine,
                        at_once: false,
                        shutdown_us: None,
                    });
                }
            }
            WorkerMessage::Stop { at_once } => return ControlFlow::Break(Stop { at_once }),
        }
        ControlFlow::Continue(())
    }
}
