//! Lines of text in cells: at most as long as there is room for, never outside of the buffer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::theme::{Role, Theme};

/// Draws a line at the row `y` of `area`, cut where that ends.
pub(super) fn put(buffer: &mut Buffer, area: Rect, y: u16, line: &Line<'_>) {
    if y >= area.height {
        return;
    }
    let row = Rect {
        y: area.y + y,
        height: 1,
        ..area
    };
    line.render(row.intersection(buffer.area), buffer);
}

/// A piece of a line that is shown whole or not at all.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    spans: Vec<Span<'static>>,
    /// What is less important goes first where there is no room.
    weight: u8,
    /// Characters.
    width: usize,
    /// Stands at the beginning of a line, where there is another line.
    begins_line: bool,
    /// Follows another one, or is left out.
    follows: bool,
}

/// What stands between two segments.
const GAP: usize = 2;

impl Segment {
    pub(super) fn new(weight: u8, theme: Theme, parts: &[(Role, &str)]) -> Segment {
        let spans = parts
            .iter()
            .map(|(role, text)| Span::styled((*text).to_owned(), theme.style(*role)));
        Segment {
            spans: spans.collect(),
            weight,
            width: parts.iter().map(|(_, text)| text.chars().count()).sum(),
            begins_line: false,
            follows: false,
        }
    }

    /// Is worth no line of its own.
    pub(super) fn aside(mut self) -> Segment {
        self.follows = true;
        self
    }

    pub(super) fn on_new_line(mut self) -> Segment {
        self.begins_line = true;
        self
    }
}

/// Distributes segments over at most `lines_max` lines of `width`: the most important ones first, and of the others those
/// that still fit. Where not even one does, the most important is left to be cut.
pub(super) fn flow(segments: &[Segment], width: usize, lines_max: usize) -> Vec<Line<'static>> {
    let mut by_weight: Vec<usize> = (0..segments.len()).collect();
    by_weight.sort_by_key(|&place| std::cmp::Reverse(segments[place].weight));
    let mut is_shown = vec![false; segments.len()];
    let mut lines = Vec::new();
    for &place in &by_weight {
        is_shown[place] = true;
        match try_flow(segments, &is_shown, width, lines_max) {
            Some(fitting) => lines = fitting,
            None => is_shown[place] = false,
        }
    }
    match by_weight.first() {
        Some(&first) if lines.is_empty() => vec![Line::from(segments[first].spans.clone())],
        _ => lines,
    }
}

/// The segments that are shown, in their order; `None` where they do not fit.
fn try_flow(
    segments: &[Segment],
    is_shown: &[bool],
    width: usize,
    lines_max: usize,
) -> Option<Vec<Line<'static>>> {
    let mut lines: Vec<(usize, Vec<Span<'static>>)> = Vec::new();
    let mut begins_line = false;
    for (segment, is_shown) in segments.iter().zip(is_shown) {
        // One that is left out passes its place at the beginning on.
        begins_line |= segment.begins_line;
        if !is_shown {
            continue;
        }
        let is_full = lines.len() >= lines_max;
        let begins = std::mem::take(&mut begins_line) && !is_full;
        match lines.last_mut() {
            Some((used, spans)) if !begins && *used + GAP + segment.width <= width => {
                *used += GAP + segment.width;
                spans.push(Span::raw(" ".repeat(GAP)));
                spans.extend(segment.spans.iter().cloned());
            }
            _ if segment.width > width || is_full || segment.follows => return None,
            _ => lines.push((segment.width, segment.spans.clone())),
        }
    }
    Some(lines.into_iter().map(|(_, spans)| Line::from(spans)).collect())
}
