//! Control requests inside a connection: SUBSCRIBE and the like, carried out and answered.

use depthcast_wire::control::{self, Method, Request, RequestError, RequestErrorCode};
use depthcast_wire::stream::StreamName;
use depthcast_wire::ws::{self, Opcode};

use super::{Host, Next, Session, SessionLimits};
use crate::fanout::FanoutError;

impl Session {
    pub(super) fn on_request(
        &mut self,
        text: &str,
        now: u32,
        limits: &SessionLimits,
        host: &mut impl Host,
    ) -> Next {
        let mut reply = Vec::new();
        let carried_out = match control::parse_request(text) {
            Ok(request) => self.carry_out(&request, &mut reply, limits, host),
            Err(error) => {
                control::write_error(&mut reply, &error);
                Ok(())
            }
        };
        match carried_out {
            Ok(()) => self.send(&ws::server_frame(Opcode::Text, &reply), now, limits, host),
            Err(error) => self.overload(error, now, limits, host),
        }
    }

    fn carry_out(
        &mut self,
        request: &Request,
        reply: &mut Vec<u8>,
        limits: &SessionLimits,
        host: &mut impl Host,
    ) -> Result<(), FanoutError> {
        let id = &request.id;
        match &request.method {
            Method::Subscribe(names) => {
                let mut streams = host.streams();
                add_missing(&mut streams, names);
                if streams.len() > limits.streams_max {
                    let error = RequestError {
                        code: RequestErrorCode::InvalidRequest,
                        message: format!(
                            "Invalid request: more than {} streams on one connection",
                            limits.streams_max
                        ),
                        id: id.clone(),
                    };
                    control::write_error(reply, &error);
                    return Ok(());
                }
                host.set_streams(&streams, self.encoding)?;
                control::write_ok(reply, id);
            }
            Method::Unsubscribe(names) => {
                let gone: std::collections::HashSet<&StreamName> = names.iter().collect();
                let mut streams = host.streams();
                streams.retain(|name| !gone.contains(name));
                host.set_streams(&streams, self.encoding)?;
                control::write_ok(reply, id);
            }
            Method::ListSubscriptions => control::write_list(reply, id, host.streams()),
            Method::SetProperty { combined } => {
                let encoding = self.encoding.with_combined(*combined);
                host.set_streams(&host.streams(), encoding)?;
                self.encoding = encoding;
                control::write_ok(reply, id);
            }
            Method::GetProperty => control::write_bool(reply, id, self.encoding.is_combined()),
        }
        Ok(())
    }
}

/// Appends the names that are not in `streams` yet.
fn add_missing(streams: &mut Vec<StreamName>, names: &[StreamName]) {
    let mut there: std::collections::HashSet<StreamName> = streams.iter().copied().collect();
    streams.extend(names.iter().copied().filter(|name| there.insert(*name)));
}
