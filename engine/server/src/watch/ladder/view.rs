//! Draws a picture: header, book, trades, footer, and what is in front of them, as far as each has room.
//!
//! ```text
//! BTCUSDT  in step  ws://…                     header: one to three lines
//!      price   quantity  ▇▇▇▇▇      total │ time  price  size
//!   61740.01    0.51200  ███▌       12.34 │ 14:02:03.123 …
//!   61737.63 ▲  spread 0.01  1 tick       │
//!   61737.62    1.00000  ██████      1.00 │
//! q quit  ↑↓ depth 18  …                       footer
//! ```
//!
//! With less width the trades go first, then the bars, then the total; with less height the footer, then the header.

mod book;
mod footer;
mod header;
mod overlay;
mod row;
mod theme;
mod trades;

use ratatui::Frame;
use ratatui::layout::Rect;

pub(super) use theme::Theme;

use super::controls::Controls;
use super::picture::Picture;

/// What does not change while the ladder is shown.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) url: String,
    /// As `sbe 20 ms`.
    pub(super) format: String,
    /// How many lines are recorded so far, where that is done.
    pub(super) recorded_lines: Option<u64>,
    pub(super) theme: Theme,
}

/// The heights below which the footer, the header's second line and its third are left out.
const FOOTER_FROM_HEIGHT: u16 = 8;
const TWO_LINES_FROM_HEIGHT: u16 = 9;
const THREE_LINES_FROM_HEIGHT: u16 = 30;

/// The height below which there is only the book.
const HEADER_FROM_HEIGHT: u16 = 3;

/// Draws everything; gives how many levels a side there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, controls: &Controls, setup: &Setup) -> u16 {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let header_lines = match area.height {
        ..HEADER_FROM_HEIGHT => 0,
        HEADER_FROM_HEIGHT..TWO_LINES_FROM_HEIGHT => 1,
        TWO_LINES_FROM_HEIGHT..THREE_LINES_FROM_HEIGHT => 2,
        _ => 3,
    };
    let head = part(area, 0, header_lines);
    let used = header::draw(buffer, head, picture, controls, setup);
    let footer_lines = u16::from(area.height >= FOOTER_FROM_HEIGHT);
    let body_height = area.height - used - footer_lines;
    let body = part(area, used, body_height);
    let foot = part(area, used + body_height, footer_lines);

    let fit = book::fit(body);
    let columns = book::Columns::of(picture, body.width);
    let (book_area, trades_area) = columns.split(body);
    book::draw(
        buffer,
        book_area,
        &columns,
        picture,
        controls.levels(fit),
        setup.theme,
    );
    if let Some(area) = trades_area {
        trades::draw(buffer, area, &columns, picture, setup.theme);
    }
    footer::draw(buffer, foot, controls, fit, setup.theme);
    overlay::draw(buffer, area, picture, controls, setup.theme);
    fit
}

/// `height` lines of `area` from its line `top` on.
fn part(area: Rect, top: u16, height: u16) -> Rect {
    Rect {
        y: area.y + top,
        height,
        ..area
    }
}

#[cfg(test)]
mod tests;
