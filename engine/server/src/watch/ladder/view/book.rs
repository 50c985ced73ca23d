//! The book: asks above, bids below, between them the spread and the last price.

use depthcast_market::decimal::Decimal;
use depthcast_market::event::Side;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::row::put;
use super::theme::{Role, Theme};
use super::trades;
use crate::watch::ladder::picture::{Direction, Picture, Row, Steps};
use crate::watch::text::InSteps;

/// The shortest bar that still tells sizes apart: 64 steps.
const BAR_MIN: usize = 8;

/// The longest: beyond it rows are harder to follow than bars to compare.
const BAR_MAX: usize = 60;

/// The bar that trades must leave.
const BAR_BESIDE_TRADES: usize = 12;

/// The height from which the columns are named.
const NAMES_FROM_HEIGHT: u16 = 10;

/// What stands between two columns, and before the first.
const GAP: usize = 2;
const MARGIN: usize = 1;

/// Digits before the point that quantities and totals get room for, so that columns do not jump.
const QTY_DIGITS: usize = 3;
const TOTAL_DIGITS: usize = 4;

/// Where the columns stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) price: usize,
    pub(super) qty: usize,
    /// 0 where there is none.
    bar: usize,
    /// 0 where there is none.
    total: usize,
    /// 0 where there is none.
    pub(super) trades: usize,
}

/// How many levels a side there is room for.
pub(super) fn fit(area: Rect) -> u16 {
    area.height.saturating_sub(1 + names_height(area)).div_ceil(2)
}

fn names_height(area: Rect) -> u16 {
    u16::from(area.height >= NAMES_FROM_HEIGHT)
}

impl Columns {
    /// The columns that `width` has room for.
    pub(super) fn of(picture: &Picture, width: u16) -> Columns {
        let width = usize::from(width);
        let (price, qty_seen, total_seen) = widths(picture);
        let decimals = picture.steps.map_or(0, |steps| decimals(steps.lot));
        let qty_roomy = qty_seen.max(QTY_DIGITS + decimals);
        let total_roomy = total_seen.max(TOTAL_DIGITS + decimals);
        let roomy = MARGIN + price + GAP + qty_roomy;
        let all = roomy + GAP + GAP + total_roomy;
        let trades = trades::widths(price, qty_roomy)
            .into_iter()
            .find(|trades| all + BAR_BESIDE_TRADES + trades <= width);

        let columns = |qty, bar: usize, total, trades| Columns {
            price,
            qty,
            bar: bar.min(BAR_MAX),
            total,
            trades,
        };
        if let Some(trades) = trades {
            columns(qty_roomy, width - all - trades, total_roomy, trades)
        } else if all + BAR_MIN <= width {
            columns(qty_roomy, width - all, total_roomy, 0)
        } else if MARGIN + price + GAP + qty_seen + GAP + total_seen <= width {
            columns(qty_seen, 0, total_seen, 0)
        } else {
            columns(qty_seen, 0, 0, 0)
        }
    }

    /// The book's part of `area`, and that of the trades.
    pub(super) fn split(&self, area: Rect) -> (Rect, Option<Rect>) {
        let trades = u16::try_from(self.trades).unwrap_or(0).min(area.width);
        if trades == 0 {
            return (area, None);
        }
        let book = Rect {
            width: area.width - trades,
            ..area
        };
        let trades = Rect {
            x: area.x + book.width,
            width: trades,
            ..area
        };
        (book, Some(trades))
    }
}

/// Draws up to `levels` rows a side.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    columns: &Columns,
    picture: &Picture,
    levels: u16,
    theme: Theme,
) {
    let mut y = 0;
    if names_height(area) > 0 {
        // The line stays free without a book, so that nothing jumps when that comes.
        let names = picture.steps.map(|_| names(columns, theme)).unwrap_or_default();
        put(buffer, area, y, &names);
        y += 1;
    }
    let left = area.height.saturating_sub(y + 1);
    // An odd row more goes to the bids: the eye begins at the spread and reads down.
    let asks = levels.min(left / 2);
    let bids = levels.min(left - asks);
    let shown = |rows: &[Row], count: u16| rows.len().min(usize::from(count));
    let visible = [
        &picture.asks[..shown(&picture.asks, asks)],
        &picture.bids[..shown(&picture.bids, bids)],
    ];
    let largest = visible.iter().copied().flatten().map(|row| row.qty).max();
    let scale = Scale {
        largest: largest.unwrap_or(0),
        is_stale: picture.stale.is_some(),
        theme,
    };
    // The best ask stands right above the middle, also where there are fewer than there is room for.
    let middle = y + asks;
    if let Some(steps) = picture.steps {
        for (place, row) in (1..).zip(visible[0]) {
            let line = level(columns, steps, Side::Ask, row, &scale);
            put(buffer, area, middle - place, &line);
        }
        for (place, row) in (1..).zip(visible[1]) {
            let line = level(columns, steps, Side::Bid, row, &scale);
            put(buffer, area, middle + place, &line);
        }
    }
    put(
        buffer,
        area,
        middle,
        &spread(columns, picture, usize::from(area.width), theme),
    );
}

/// What all rows have in common.
struct Scale {
    /// The largest quantity that is visible.
    largest: i64,
    is_stale: bool,
    theme: Theme,
}

fn names(columns: &Columns, theme: Theme) -> Line<'static> {
    let mut text = format!("{:MARGIN$}{:>price$}", "", "price", price = columns.price);
    text += &format!("{:GAP$}{:>qty$}", "", "size", qty = columns.qty);
    if columns.total > 0 {
        let bar = if columns.bar > 0 { GAP + columns.bar } else { 0 };
        text += &format!("{:bar$}{:GAP$}{:>total$}", "", "", "total", total = columns.total);
    }
    Line::styled(text, theme.style(Role::Aside))
}

fn level(columns: &Columns, steps: Steps, side: Side, row: &Row, scale: &Scale) -> Line<'static> {
    let role = match (side, row.is_fresh) {
        (Side::Bid, false) => Role::Bid,
        (Side::Bid, true) => Role::FreshBid,
        (Side::Ask, false) => Role::Ask,
        (Side::Ask, true) => Role::FreshAsk,
    };
    let faded = |style: Style| match scale.is_stale {
        true => style.remove_modifier(Modifier::BOLD).add_modifier(Modifier::DIM),
        false => style,
    };
    let side_style = faded(scale.theme.style(role));
    let qty_role = if row.is_fresh { Role::Strong } else { Role::Plain };
    let mut spans = vec![
        Span::styled(
            format!(
                "{:MARGIN$}{:>price$}",
                "",
                in_steps(row.price, steps.tick),
                price = columns.price
            ),
            side_style,
        ),
        Span::styled(
            format!(
                "{:GAP$}{:>qty$}",
                "",
                in_steps(row.qty, steps.lot),
                qty = columns.qty
            ),
            faded(scale.theme.style(qty_role)),
        ),
    ];
    if columns.bar > 0 {
        let bar = bar(row.qty, scale.largest, columns.bar);
        spans.push(Span::styled(
            format!("{:GAP$}{bar:<width$}", "", width = columns.bar),
            side_style,
        ));
    }
    if columns.total > 0 {
        spans.push(Span::styled(
            format!(
                "{:GAP$}{:>total$}",
                "",
                in_steps(row.total, steps.lot),
                total = columns.total
            ),
            faded(scale.theme.style(Role::Aside)),
        ));
    }
    Line::from(spans)
}

/// The row in the middle: last price, spread, and as much more as `width` has room for.
fn spread(columns: &Columns, picture: &Picture, width: usize, theme: Theme) -> Line<'static> {
    let Some(steps) = picture.steps else {
        return Line::styled(" no book yet", theme.style(Role::Aside));
    };
    let (role, text, arrow) = match picture.last {
        Some((price, direction)) => {
            let (role, arrow) = match direction {
                Direction::Up => (Role::FreshBid, "▲"),
                Direction::Down => (Role::FreshAsk, "▼"),
                Direction::Level => (Role::Strong, " "),
            };
            (role, in_steps(price, steps.tick), arrow)
        }
        None => (Role::Aside, "-".into(), " "),
    };
    let mut line = Line::from(Span::styled(
        format!("{:MARGIN$}{text:>price$} {arrow}", "", price = columns.price),
        theme.style(role),
    ));
    for (role, text) in spread_parts(picture, steps) {
        let gap = GAP - usize::from(line.spans.len() == 1);
        if line.width() + gap + text.chars().count() > width {
            break;
        }
        line.push_span(Span::raw(" ".repeat(gap)));
        line.push_span(Span::styled(text, theme.style(role)));
    }
    line
}

/// What there is to say about the spread, the most important first.
fn spread_parts(picture: &Picture, steps: Steps) -> Vec<(Role, String)> {
    let mut parts = match (picture.best_bid, picture.best_ask) {
        (Some(bid), Some(ask)) => {
            let spread = ask.price.saturating_sub(bid.price);
            let ticks = spread / steps.tick.mantissa.max(1);
            let plural = if ticks == 1 { "" } else { "s" };
            let bps = basis_points(spread, bid.price, ask.price);
            vec![
                (Role::Strong, format!("spread {}", in_steps(spread, steps.tick))),
                (Role::Aside, format!("{ticks} tick{plural}")),
                (Role::Aside, format!("{bps} bps")),
            ]
        }
        (Some(_), None) => vec![(Role::Warning, "no asks".into())],
        (None, Some(_)) => vec![(Role::Warning, "no bids".into())],
        (None, None) => vec![(Role::Warning, "the book is empty".into())],
    };
    if picture.group > 1 {
        let step = steps.tick.mantissa.saturating_mul(picture.group);
        parts.push((Role::Aside, format!("rows of {}", in_steps(step, steps.tick))));
    }
    parts
}

/// `width` in hundredths of a percent of the price in the middle, with two decimals.
fn basis_points(width: i64, bid: i64, ask: i64) -> String {
    let twice_middle = (i128::from(bid) + i128::from(ask)).max(1);
    let hundredths = i128::from(width) * 2_000_000 / twice_middle;
    let sign = if hundredths < 0 { "-" } else { "" };
    let hundredths = hundredths.abs();
    format!("{sign}{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A bar of `qty` where `largest` is `width` characters long, in eighths. What is there at all shows at least one.
pub(super) fn bar(qty: i64, largest: i64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if qty <= 0 || largest <= 0 {
        return String::new();
    }
    let whole = i128::try_from(width * 8).unwrap_or(0);
    let length = (i128::from(qty) * whole / i128::from(largest)).clamp(1, whole);
    let length = usize::try_from(length).unwrap_or(0);
    "█".repeat(length / 8) + EIGHTHS[length % 8]
}

/// The widths of the widest price, quantity and total among the rows that could be shown.
fn widths(picture: &Picture) -> (usize, usize, usize) {
    let Some(steps) = picture.steps else {
        return (5, 4, 5);
    };
    let rows = || picture.asks.iter().chain(&picture.bids);
    let widest = |numbers: &mut dyn Iterator<Item = i64>, step: Decimal, least: usize| {
        // The longest text is that of the largest number, or of the one that is off the step.
        let largest = numbers.map(|number| in_steps(number, step).len()).max();
        largest.unwrap_or(0).max(least)
    };
    let trades = picture.trades.iter();
    let price = widest(
        &mut rows().map(|row| row.price).chain(trades.map(|trade| trade.price)),
        steps.tick,
        5,
    );
    let sold = picture.trades.iter().map(|trade| trade.qty);
    let qty = widest(&mut rows().map(|row| row.qty).chain(sold), steps.lot, 4);
    let total = widest(&mut rows().map(|row| row.total), steps.lot, 5);
    (price, qty, total)
}

/// The decimals that a step prints, and its point.
fn decimals(step: Decimal) -> usize {
    let text = in_steps(0, step);
    text.find('.').map_or(0, |point| text.len() - point)
}

pub(super) fn in_steps(mantissa: i64, step: Decimal) -> String {
    InSteps { mantissa, step }.to_string()
}
