//! Control requests inside a connection: SUBSCRIBE and the like, carried out and answered.

use depthcast_wire::control::{self, Method, Request, RequestError, RequestErrorCode};
use depthcast_wire::stream::StreamName;
use depthcast_wire::ws::{self, Opcode};

use super::{Host, Next, Session, Turn};
use crate::fanout::FanoutError;

impl Session {
    pub(super) fn on_request(&mut self, text: &str, turn: &mut Turn<'_, impl Host>) -> Next {
        let mut reply = Vec::new();
        let carried_out = match control::parse_request(text) {
            Ok(request) => self.carry_out(&request, &mut reply, turn),
            Err(error) => {
                control::write_error(&mut reply, &error);
                Ok(())
            }
        };
        match carried_out {
            // It goes out with the change that was asked for.
            Ok(()) if reply.is_empty() => Next::Continue,
            Ok(()) => self.send(ws::server_frame(Opcode::Text, &reply), turn),
            Err(error) => self.on_bound(&error, turn),
        }
    }

    fn carry_out(
        &mut self,
        request: &Request,
        reply: &mut Vec<u8>,
        turn: &mut Turn<'_, impl Host>,
    ) -> Result<(), FanoutError> {
        let id = &request.id;
        match &request.method {
            Method::Subscribe(names) => {
                let mut streams = turn.host.streams();
                add_missing(&mut streams, names);
                if streams.len() > turn.limits.streams_max {
                    let error = RequestError {
                        code: RequestErrorCode::InvalidRequest,
                        message: format!(
                            "Invalid request: more than {} streams on one connection",
                            turn.limits.streams_max
                        ),
                        id: id.clone(),
                    };
                    control::write_error(reply, &error);
                    return Ok(());
                }
                turn.host
                    .set_streams(&streams, self.encoding, self.with_snapshots)?;
                control::write_ok(reply, id);
            }
            Method::Unsubscribe(names) => {
                let gone: std::collections::HashSet<&StreamName> = names.iter().collect();
                let mut streams = turn.host.streams();
                streams.retain(|name| !gone.contains(name));
                turn.host
                    .set_streams(&streams, self.encoding, self.with_snapshots)?;
                control::write_ok(reply, id);
            }
            Method::ListSubscriptions => {
                // A group has a set of streams and no order of its own; one that all subscribers see alike costs nothing
                // to keep.
                let mut streams = turn.host.streams();
                streams.sort_unstable();
                control::write_list(reply, id, streams);
            }
            Method::SetProperty { combined } => {
                let mut ok = Vec::new();
                control::write_ok(&mut ok, id);
                self.encoding = self.encoding.with_combined(*combined);
                let ok = ws::server_frame(Opcode::Text, &ok);
                turn.host.set_encoding(self.encoding, ok.into())?;
            }
            Method::GetProperty => control::write_bool(reply, id, self.encoding.wraps_json()),
        }
        Ok(())
    }
}

/// Appends the names that are not in `streams` yet.
fn add_missing(streams: &mut Vec<StreamName>, names: &[StreamName]) {
    let mut there: std::collections::HashSet<StreamName> = streams.iter().copied().collect();
    streams.extend(names.iter().copied().filter(|name| there.insert(*name)));
}
