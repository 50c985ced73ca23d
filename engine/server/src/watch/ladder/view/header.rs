//! The header: what is watched, whether it can be trusted, and the figures.

use depthcast_client::BookOrigin;
use depthcast_client::latency::{Basis, LatencyReport, NoLatency};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Setup;
use super::row::{Segment, flow, put};
use super::theme::Role;
use crate::watch::ladder::controls::Controls;
use crate::watch::ladder::picture::{Picture, Sequence, Stale};
use crate::watch::text::Latency;

/// Draws into `area`; gives the lines used.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    picture: &Picture,
    controls: &Controls,
    setup: &Setup,
) -> u16 {
    if area.height == 0 {
        return 0;
    }
    let mut segments = identity(picture, controls, setup, usize::from(area.width));
    segments.extend(figures(picture, setup));
    let lines = flow(&segments, usize::from(area.width), usize::from(area.height));
    let mut used = 0;
    for line in lines.iter().take(usize::from(area.height)) {
        put(buffer, area, used, line);
        used += 1;
    }
    used
}

/// Symbol, state, place in the sequence, and where it comes from.
fn identity(picture: &Picture, controls: &Controls, setup: &Setup, width: usize) -> Vec<Segment> {
    let theme = setup.theme;
    let title = format!(" {} ", picture.symbol);
    let mut segments = vec![Segment::new(10, theme, &[(Role::Title, &title)])];
    if let Some(stale) = picture.stale {
        let text = stale_text(stale);
        segments.push(Segment::new(9, theme, &[(Role::Alarm, &text)]));
    }
    if controls.is_paused {
        segments.push(Segment::new(8, theme, &[(Role::Alarm, " PAUSED ")]));
    }
    let (role, state, reason) = sequence_text(&picture.sequence);
    segments.push(Segment::new(7, theme, &[(role, &state)]));
    if !reason.is_empty() {
        // As much of it as a line holds.
        let reason: String = reason.chars().take(width).collect();
        segments.push(Segment::new(7, theme, &[(Role::Warning, &reason)]));
    }
    segments.extend(place(picture, setup));
    if picture.shutdown_announced {
        segments.push(Segment::new(6, theme, &[(Role::Warning, "the server is ending")]));
    }
    segments.push(Segment::new(3, theme, &[(Role::Aside, &setup.format)]).aside());
    segments.push(Segment::new(2, theme, &[(Role::Aside, &setup.url)]).aside());
    segments
}

/// The place in the sequence, and what went wrong in it.
fn place(picture: &Picture, setup: &Setup) -> Vec<Segment> {
    let theme = setup.theme;
    let mut segments = Vec::new();
    if let Some(last_id) = picture.last_id {
        let id = Segment::new(
            4,
            theme,
            &[(Role::Aside, "id "), (Role::Plain, &last_id.to_string())],
        );
        segments.push(id);
    }
    let counters = picture.counters;
    for (weight, name, count) in [
        (5, "gaps", counters.gaps),
        (2, "resyncs", counters.resyncs),
        (4, "reconnects", counters.reconnects),
    ] {
        // What has happened matters more than what has not.
        let (role, weight) = match count {
            0 => (Role::Plain, weight),
            _ => (Role::Warning, weight + 2),
        };
        let name = format!("{name} ");
        let count = count.to_string();
        segments.push(Segment::new(
            weight,
            theme,
            &[(Role::Aside, &name), (role, &count)],
        ));
    }
    let counters = [
        ("resumed", counters.resumed),
        ("conflated", counters.conflated),
        ("evicted", counters.evicted),
    ];
    for (name, count) in counters.into_iter().filter(|(_, count)| *count > 0) {
        let (name, count) = (format!("{name} "), count.to_string());
        segments.push(Segment::new(
            4,
            theme,
            &[(Role::Aside, &name), (Role::Warning, &count)],
        ));
    }
    if let Some(rejoined) = picture.rejoined {
        let text = match rejoined.origin {
            BookOrigin::Resumed { after_id } => format!("resumed at id {after_id}"),
            BookOrigin::Fetched { .. } | BookOrigin::Streamed => {
                format!("new snapshot at id {}", rejoined.last_id)
            }
        };
        segments.push(Segment::new(3, theme, &[(Role::Aside, &text)]));
    }
    segments
}

/// Rates and latency.
fn figures(picture: &Picture, setup: &Setup) -> Vec<Segment> {
    let theme = setup.theme;
    let figure = |weight, value: &str, name: &str| {
        Segment::new(weight, theme, &[(Role::Strong, value), (Role::Aside, name)])
    };
    let rate = |tenths: u64| format!("{:>4}.{}", tenths / 10, tenths % 10);
    let mut segments = vec![
        figure(6, &rate(picture.update_rate), " updates/s").on_new_line(),
        figure(4, &rate(picture.trade_rate), " trades/s"),
    ];
    match &picture.latency {
        Ok(latency) => {
            let [p50, p99] = [latency.p50_us, latency.p99_us].map(|us| Latency(us).to_string());
            segments.push(Segment::new(
                5,
                theme,
                &[
                    (Role::Aside, "latency p50 "),
                    (Role::Strong, &p50),
                    (Role::Aside, "  p99 "),
                    (Role::Strong, &p99),
                ],
            ));
            segments.push(Segment::new(1, theme, &[(Role::Aside, basis_text(latency))]));
        }
        Err(NoLatency::NoEvents) => {}
        Err(NoLatency::OtherPace { pace }) => {
            let text = format!("no latency: a replay at {pace:.1}x");
            segments.push(Segment::new(1, theme, &[(Role::Aside, &text)]));
        }
    }
    if let Some(lines) = setup.recorded_lines {
        let text = format!("recording: {lines} lines");
        segments.push(Segment::new(5, theme, &[(Role::Warning, &text)]));
    }
    segments
}

/// What latencies are measured from, in a few words; the help has the whole sentence.
fn basis_text(latency: &LatencyReport) -> &'static str {
    match latency.basis {
        Basis::EventTime => "since E",
        Basis::FastestEvent { .. } => "over the fastest",
    }
}

fn stale_text(stale: Stale) -> String {
    let seconds = |tenths: u64| format!("{}.{} s", tenths / 10, tenths % 10);
    match stale {
        Stale::Silent { tenths } => format!(" STALE no update for {} ", seconds(tenths)),
        Stale::OutOfStep { tenths } => format!(" STALE out of step for {} ", seconds(tenths)),
    }
}

/// The state in a few words, and its reason, which may be empty or long.
fn sequence_text(sequence: &Sequence) -> (Role, String, &str) {
    match sequence {
        Sequence::Connecting => (Role::Warning, "connecting".into(), ""),
        Sequence::Synchronising => (Role::Warning, "synchronising".into(), ""),
        Sequence::InStep => (Role::Good, "in step".into(), ""),
        Sequence::Broken { reason } => {
            let (what, more) = reason.split_once(": ").unwrap_or((reason, ""));
            (Role::Warning, format!("{what}:"), more)
        }
        Sequence::Reconnecting {
            reason,
            in_tenths: Some(tenths),
        } => {
            let text = format!("reconnecting in {}.{} s:", tenths / 10, tenths % 10);
            (Role::Warning, text, reason)
        }
        Sequence::Reconnecting {
            reason,
            in_tenths: None,
        } => (Role::Warning, "reconnecting:".into(), reason),
        Sequence::Ended { reason } => (Role::Alarm, " stopped: ".into(), reason),
    }
}
