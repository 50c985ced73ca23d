//! What stands in front of the ladder: the help, and the search for a symbol.

use depthcast_client::latency::NoLatency;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::row::put;
use super::theme::{Role, Theme};
use crate::watch::ladder::controls::{Controls, Overlay, Search, Symbols};
use crate::watch::ladder::picture::Picture;

/// What the keys do.
const KEYS: [(&str, &str); 10] = [
    ("q Esc Ctrl-C", "quit, and print the summary"),
    ("+ - up down", "more or fewer levels a side"),
    ("a", "as many levels as fit"),
    ("left right [ ] Tab", "the previous or next symbol of the server"),
    ("/", "type a symbol; Tab completes, up and down choose"),
    ("g G", "more or fewer ticks in a row"),
    ("p Space", "hold the picture; reading goes on"),
    ("? h", "this help; any key closes it"),
    ("STALE", "no update for 2 s, or the book is not in step"),
    ("▲ ▼", "a buyer or a seller took; the price went up or down"),
];

/// The width of the first column of the help.
const KEY_WIDTH: usize = 19;

/// The most matches shown of a search.
const MATCHES_MAX: usize = 10;

/// The width of the search: room for its longest sentence.
const SEARCH_WIDTH: u16 = 40;

pub(super) fn draw(buffer: &mut Buffer, area: Rect, picture: &Picture, controls: &Controls, theme: Theme) {
    match &controls.overlay {
        Overlay::None => {}
        Overlay::Help => {
            let lines = help(picture, theme);
            let width = lines.iter().map(Line::width).max().unwrap_or(0) + 4;
            let width = u16::try_from(width).unwrap_or(u16::MAX);
            box_of(buffer, area, width, " keys ", &lines, theme);
        }
        Overlay::Search(search) => {
            let lines = matches(controls, search, theme);
            box_of(buffer, area, SEARCH_WIDTH, " symbol ", &lines, theme);
        }
    }
}

fn help(picture: &Picture, theme: Theme) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = KEYS
        .iter()
        .map(|(keys, what)| {
            Line::from(vec![
                Span::styled(format!("{keys:<KEY_WIDTH$}"), theme.style(Role::Key)),
                Span::raw((*what).to_owned()),
            ])
        })
        .collect();
    let latency = match &picture.latency {
        Ok(latency) => format!("latency {}", latency.basis),
        Err(NoLatency::NoEvents) => return lines,
        Err(none) => format!("latency {none}"),
    };
    lines.push(Line::default());
    lines.push(Line::styled(latency, theme.style(Role::Aside)));
    lines
}

fn matches(controls: &Controls, search: &Search, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(vec![
        Span::styled("/ ", theme.style(Role::Key)),
        Span::styled(search.query.clone(), theme.style(Role::Strong)),
        Span::raw("▏"),
    ])];
    let found = controls.matches(&search.query);
    // The chosen one is always in sight.
    let first = (search.chosen + 1).saturating_sub(MATCHES_MAX);
    for (place, name) in found.iter().enumerate().skip(first).take(MATCHES_MAX) {
        let role = if place == search.chosen {
            Role::Title
        } else {
            Role::Plain
        };
        lines.push(Line::styled(format!(" {name} "), theme.style(role)));
    }
    let more = found.len().saturating_sub(first + MATCHES_MAX);
    let aside = match &controls.symbols {
        Symbols::Awaited => "the list is on its way".to_owned(),
        Symbols::Unknown(reason) => format!("no list: {reason}"),
        Symbols::Known(_) if found.is_empty() => "not in the list; Enter asks for it".to_owned(),
        Symbols::Known(_) if more > 0 => format!("and {more} more"),
        Symbols::Known(_) => return lines,
    };
    lines.push(Line::styled(aside, theme.style(Role::Aside)));
    lines
}

/// A box of these lines in the middle of `area`, cut to it; without its frame where that would leave nothing.
fn box_of(buffer: &mut Buffer, area: Rect, width: u16, title: &str, lines: &[Line<'_>], theme: Theme) {
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let (width, height) = (width.min(area.width), height.min(area.height));
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(place, buffer);
    let mut inner = place;
    if width > 4 && height > 2 {
        let frame = Block::bordered()
            .title(title.to_owned())
            .border_style(theme.style(Role::Aside));
        inner = frame.inner(place);
        frame.render(place, buffer);
        inner.x += 1;
        inner.width -= 2;
    }
    for (y, line) in (0..inner.height).zip(lines) {
        put(buffer, inner, y, line);
    }
}
