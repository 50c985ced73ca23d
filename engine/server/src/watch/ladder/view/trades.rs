//! The last trades, newest on top, in the colour of the side that took.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::book::{Columns, in_steps};
use super::row::put;
use super::theme::{Role, Theme};
use crate::watch::ladder::picture::Picture;

/// `14:02:03.123`, and without the milliseconds.
const TIME_WIDTHS: [usize; 2] = [12, 8];

/// The rule on the left with its blanks, the arrow, and what stands between the columns.
const BETWEEN: usize = 3 + 2 + 2 + 2;

/// The columns' width altogether, with the longer time and with the shorter.
pub(super) fn widths(price: usize, qty: usize) -> [usize; 2] {
    TIME_WIDTHS.map(|time| BETWEEN + time + price + qty)
}

/// Draws into `area`, whose width is one of [`widths`] of these columns.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, columns: &Columns, picture: &Picture, theme: Theme) {
    let Some(steps) = picture.steps else { return };
    let (price_width, qty_width) = (columns.price, columns.qty);
    let time_width = usize::from(area.width).saturating_sub(BETWEEN + price_width + qty_width);
    let rule = || Span::styled(" │ ", theme.style(Role::Aside));
    let title = "trades, UTC".get(..time_width).unwrap_or("trades, UTC");
    let names = format!(
        "{:<time_width$}  {:>price_width$}    {:>qty_width$}",
        title.trim_end_matches([',', ' ']),
        "price",
        "size"
    );
    let names = Line::from(vec![rule(), Span::styled(names, theme.style(Role::Aside))]);
    put(buffer, area, 0, &names);
    for y in 1..area.height {
        let mut spans = vec![rule()];
        if let Some(trade) = picture.trades.get(usize::from(y) - 1) {
            // The maker rested; the other side was the aggressor.
            let (role, arrow) = match trade.is_buyer_maker {
                true => (Role::Ask, "▼"),
                false => (Role::Bid, "▲"),
            };
            let time = time_of_day(trade.trade_time_us);
            let time = time.get(..time_width).unwrap_or(&time).to_owned();
            let price = in_steps(trade.price, steps.tick);
            let qty = in_steps(trade.qty, steps.lot);
            spans.push(Span::styled(time, theme.style(Role::Aside)));
            spans.push(Span::styled(
                format!("  {price:>price_width$} {arrow}  {qty:>qty_width$}"),
                theme.style(role),
            ));
        }
        put(buffer, area, y, &Line::from(spans));
    }
}

/// The time of day in UTC, as `14:02:03.123`.
pub(super) fn time_of_day(unix_us: i64) -> String {
    let ms = unix_us.div_euclid(1000).rem_euclid(86_400_000);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{ms:03}")
}
