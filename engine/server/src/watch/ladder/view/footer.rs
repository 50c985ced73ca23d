//! The footer: the keys, or a sentence about the last one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::row::{Segment, flow, put};
use super::theme::{Role, Theme};
use crate::watch::ladder::controls::{Controls, Depth};

pub(super) fn draw(buffer: &mut Buffer, area: Rect, controls: &Controls, fit: u16, theme: Theme) {
    if let Some(message) = &controls.message {
        let line = Line::styled(format!(" {message}"), theme.style(Role::Warning));
        put(buffer, area, 0, &line);
        return;
    }
    let depth = match controls.depth {
        Depth::Auto => format!(" depth {} (auto)", controls.levels(fit)),
        Depth::Fixed(_) => format!(" depth {}", controls.levels(fit)),
    };
    let group = match controls.group() {
        1 => " group".to_owned(),
        ticks => format!(" group {ticks} ticks"),
    };
    let key =
        |weight, key: &str, what: &str| Segment::new(weight, theme, &[(Role::Key, key), (Role::Plain, what)]);
    let keys = vec![
        key(9, " q", " quit"),
        key(6, "↑↓", &depth),
        key(2, "a", " auto"),
        key(5, "←→", " symbol"),
        key(4, "/", " find"),
        key(1, "g", &group),
        key(3, "p", " pause"),
        key(8, "?", " help"),
    ];
    for line in flow(&keys, usize::from(area.width), 1) {
        put(buffer, area, 0, &line);
    }
}
