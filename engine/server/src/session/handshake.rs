//! The beginning of a connection: the request's head, and what is answered to it.

use depthcast_wire::http::{self, HttpError, RequestHead, UpgradeRequest};
use depthcast_wire::target::{SubscriberTarget, TargetKind};
use depthcast_wire::ws::CloseCode;

use super::buffers::NoBuffer;
use super::encoding::Encoding;
use super::ending::bound_reached;
use super::pings::next_ping;
use super::{
    EPOCH_HEADER, EndCause, Host, Next, Phase, Session, Turn, TurnedAway, UNAVAILABLE_RETRY_AFTER_S,
};

/// Why there is no room, for people.
pub const NO_ROOM: &str = "this engine has as many connections as it may";

/// The answer to one who cannot be served now: 503, and when to come again.
pub fn unavailable(why: &str) -> Vec<u8> {
    let seconds = UNAVAILABLE_RETRY_AFTER_S.to_string();
    let body = format!("{why}: try again in {seconds} s\n");
    let mut answer = Vec::new();
    let headers = [("Retry-After", &*seconds)];
    http::write_error(&mut answer, 503, "Service Unavailable", &headers, &body);
    answer
}

impl Session {
    /// Bytes of a request that will not be carried out: they are looked through for the end of its head.
    pub(super) fn on_turned_away(&mut self, input: &[u8], turn: &mut Turn<'_, impl Host>) -> Next {
        let Phase::TurnedAway { why, line_ends } = &mut self.phase else {
            return Next::Continue;
        };
        for byte in input {
            match byte {
                b'\n' => *line_ends += 1,
                b'\r' => {}
                _ => *line_ends = 0,
            }
            if *line_ends == 2 {
                let why = *why;
                return self.turn_away(why, turn);
            }
        }
        Next::Continue
    }

    /// Tells a peer why it is not served.
    pub(super) fn turn_away(&mut self, why: TurnedAway, turn: &mut Turn<'_, impl Host>) -> Next {
        let TurnedAway::TooMany { retry_after_s } = why else {
            return self.refuse(unavailable(NO_ROOM), EndCause::NoRoom, turn);
        };
        let (max, window_s) = (turn.limits.attempts_per_ip, turn.limits.attempts_window_s);
        let body = format!(
            "more than {max} connections from one address in {window_s} s: try again in {retry_after_s} s\n"
        );
        let mut answer = Vec::new();
        let headers = [("Retry-After", &*retry_after_s.to_string())];
        http::write_error(&mut answer, 429, "Too Many Requests", &headers, &body);
        self.refuse(answer, EndCause::Attempts, turn)
    }

    /// Bytes of a request. Its head usually comes whole, and is then read where it lies; a part of one is kept.
    pub(super) fn on_handshake(&mut self, input: &[u8], turn: &mut Turn<'_, impl Host>) -> Next {
        let Some(held) = self.partial.take() else {
            return match self.on_head(input, turn) {
                Some(next) => next,
                None => match turn.host.buffers().keep_head(None, input) {
                    Ok(partial) => {
                        self.partial = Some(partial);
                        Next::Continue
                    }
                    Err(error) => self.refuse_for_room(&error, turn),
                },
            };
        };
        let partial = match turn.host.buffers().keep_head(Some(held), input) {
            Ok(partial) => partial,
            Err(error) => return self.refuse_for_room(&error, turn),
        };
        match self.on_head(partial.head(), turn) {
            next @ (None | Some(Next::HandOff)) => {
                self.partial = Some(partial);
                next.unwrap_or(Next::Continue)
            }
            Some(next) => {
                turn.host.buffers().give_back(partial);
                next
            }
        }
    }

    /// All that has arrived of a request. None when that is not the whole of its head.
    fn on_head(&mut self, bytes: &[u8], turn: &mut Turn<'_, impl Host>) -> Option<Next> {
        match http::parse_request(bytes) {
            Ok(Some(head)) => Some(self.on_request_head(&head, &bytes[head.head_len..], turn)),
            Ok(None) => None,
            Err(error) => Some(self.refuse_http(&error, turn)),
        }
    }

    fn on_request_head(
        &mut self,
        head: &RequestHead<'_>,
        rest: &[u8],
        turn: &mut Turn<'_, impl Host>,
    ) -> Next {
        let target = match SubscriberTarget::parse(head.target) {
            Ok(TargetKind::Subscriber(target)) if !target.echo || turn.limits.echo => target,
            Ok(_) => return Next::HandOff,
            Err(error) => {
                let mut answer = Vec::new();
                http::write_error(&mut answer, 400, "Bad Request", &[], &format!("{error}\n"));
                return self.refuse(answer, EndCause::HandshakeRefused, turn);
            }
        };
        let accept_key = match head.upgrade() {
            UpgradeRequest::Valid { accept_key } => accept_key,
            UpgradeRequest::Invalid(error) => return self.refuse_http(&error, turn),
            UpgradeRequest::Absent => {
                return self.refuse_http(&HttpError::UpgradeRequired, turn);
            }
        };
        self.open(&target, &accept_key, rest, turn)
    }

    fn open(
        &mut self,
        target: &SubscriberTarget,
        accept_key: &str,
        rest: &[u8],
        turn: &mut Turn<'_, impl Host>,
    ) -> Next {
        self.phase = Phase::Open;
        self.encoding = Encoding::new(target.format, target.combined, target.time_unit);
        self.is_echo = target.echo;
        self.with_snapshots = target.snapshot;
        self.lag_policy = target.lag.unwrap_or(turn.limits.lag_policy);
        self.due = next_ping(turn.now, turn.host.key(), turn.limits.ping_ticks);
        self.life_ends = turn.now + turn.limits.life_ticks;
        let mut answer = Vec::new();
        let epoch = turn.host.epoch().map(|id| id.to_string());
        let header = epoch.as_deref().map(|id| (EPOCH_HEADER, id));
        http::write_switching_protocols(&mut answer, accept_key, header.as_slice());
        turn.host.answer(answer.into());
        if let Some(ignored) = &target.first_ignored {
            tracing::debug!(count = target.ignored, first = %ignored, "ignored names in a URL that are no streams");
        }
        if !target.streams.is_empty() {
            if target.streams.len() > turn.limits.streams_max {
                let reason = format!("more than {} streams on one connection", turn.limits.streams_max);
                let code = CloseCode::POLICY_VIOLATION;
                return self.close(code, &reason, EndCause::Protocol, turn);
            }
            let host = &mut turn.host;
            let (names, encoding) = (&target.streams, self.encoding);
            let set = match &target.resume {
                Some(resume) => host.resume_streams(names, encoding, self.with_snapshots, resume),
                None => host.set_streams(names, encoding, self.with_snapshots),
            };
            if let Err(error) = set {
                // Behind the answer to the upgrade, which is not sent yet.
                let (code, cause) = bound_reached(&error);
                return self.close(code, &error.to_string(), cause, turn);
            }
        }
        self.on_frames(&mut &*rest, turn)
    }

    fn refuse_for_room(&mut self, error: &NoBuffer, turn: &mut Turn<'_, impl Host>) -> Next {
        self.refuse(unavailable(&error.to_string()), EndCause::Overload, turn)
    }

    fn refuse_http(&mut self, error: &HttpError, turn: &mut Turn<'_, impl Host>) -> Next {
        let mut answer = Vec::new();
        error.write_response(&mut answer);
        self.refuse(answer, EndCause::HandshakeRefused, turn)
    }

    pub(super) fn refuse(
        &mut self,
        answer: Vec<u8>,
        cause: EndCause,
        turn: &mut Turn<'_, impl Host>,
    ) -> Next {
        if turn.host.send(answer.into()).is_err() {
            return Next::Drop;
        }
        self.end(cause, turn.limits.close_ticks, turn)
    }
}
