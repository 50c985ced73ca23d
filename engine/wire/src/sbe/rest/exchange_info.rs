//! ExchangeInfoResponse (103): no root block; groups
//!
//! | group | block | behind each block |
//! |---|---|---|
//! | rateLimits | rateLimitType u8, interval u8, intervalNum u8, rateLimit i64; 11 bytes | |
//! | exchangeFilters | none | |
//! | symbols | status u8, baseAssetPrecision u8, quoteAssetPrecision u8, baseCommissionPrecision u8, quoteCommissionPrecision u8, orderTypes u16 (bits), icebergAllowed, ocoAllowed, otoAllowed, quoteOrderQtyMarketAllowed, allowTrailingStop, cancelReplaceAllowed, amendAllowed, isSpotTradingAllowed, isMarginTradingAllowed u8 each, defaultSelfTradePreventionMode u8, allowedSelfTradePreventionModes u8 (bits), pegInstructionsAllowed u8; 19 bytes | groups filters (each a whole message behind a length u8) and permissionSets (each a group of texts); symbol, baseAsset, quoteAsset (length u8) |
//! | sors | none | |

use depthcast_market::decimal::Decimal;
use depthcast_market::limits::AVERAGE_MINUTES;

use super::{EncodeError, Writer, checked};
use crate::listing::{Filter, Interval, Listing, ORDER_TYPES, RateLimitKind, Steps, Terms};

const RATE_LIMIT_BLOCK: u16 = 11;
const SYMBOL_BLOCK: u16 = 19;

/// Bits of orderTypes: all seven that there are, from MARKET to LIMIT_MAKER.
const ALL_ORDER_TYPES: u16 = (1 << ORDER_TYPES.len()) - 1;

/// selfTradePreventionMode NONE; and NONE as the only one allowed, a bit.
const PREVENTION_NONE: u8 = 1;
const PREVENTIONS_NONE: u8 = 1;

/// Appends an ExchangeInfoResponse.
pub fn exchange_info(out: &mut Vec<u8>, terms: Terms, listings: &[Listing<'_>]) -> Result<(), EncodeError> {
    checked("symbols", listings.len())?;
    let mut message = Writer::message(out, 103, 0);
    let rate_limits = terms.rate_limits();
    message.group(RATE_LIMIT_BLOCK, rate_limits.len());
    for limit in rate_limits {
        let kind = match limit.kind {
            RateLimitKind::RawRequests => 0,
            RateLimitKind::RequestWeight => 2,
            RateLimitKind::Orders => 3,
        };
        let interval = match limit.interval {
            Interval::Second => 0,
            Interval::Minute => 1,
            Interval::Day => 3,
        };
        message.u8(kind).u8(interval).u8(limit.count).i64(limit.limit);
    }
    message.group(0, 0).group(SYMBOL_BLOCK, listings.len());
    for listing in listings {
        put_symbol(&mut message, terms, listing);
    }
    message.group(0, 0);
    Ok(())
}

fn put_symbol(message: &mut Writer<'_>, terms: Terms, listing: &Listing<'_>) {
    message
        .u8(0) // TRADING
        .u8(listing.base_precision)
        .u8(listing.quote_precision)
        .u8(listing.base_precision)
        .u8(listing.quote_precision)
        .u16(ALL_ORDER_TYPES);
    // Everything but trading on margin, which is the last.
    for is_allowed in [true, true, true, true, true, true, true, true, false] {
        message.bool(is_allowed);
    }
    message
        .u8(PREVENTION_NONE)
        .u8(PREVENTIONS_NONE)
        .bool(true)
        .group(0, listing.filters.len());
    for filter in &listing.filters {
        let mut body = Vec::new();
        put_filter(&mut body, filter);
        // The longest filter is 45 bytes.
        message.u8(body.len() as u8);
        message.0.extend_from_slice(&body);
    }
    message.group(0, usize::from(terms.with_permissions));
    if terms.with_permissions {
        message.group(0, 1).text8("SPOT");
    }
    message
        .text8(listing.symbol)
        .text8(listing.base)
        .text8(listing.quote);
}

fn put_filter(out: &mut Vec<u8>, filter: &Filter) {
    match *filter {
        Filter::Price(steps) => put_steps(out, 1, steps),
        Filter::Lot(steps) => put_steps(out, 4, steps),
        Filter::MarketLot(steps) => put_steps(out, 8, steps),
        Filter::IcebergParts(limit) => put_limit(out, 7, limit),
        Filter::MaxNumOrders(limit) => put_limit(out, 9, limit),
        Filter::MaxNumAlgoOrders(limit) => put_limit(out, 10, limit),
        Filter::MaxNumOrderLists(limit) => put_limit(out, 18, limit),
        Filter::MaxNumOrderAmends(limit) => put_limit(out, 20, limit),
        Filter::TrailingDelta { min, max } => {
            Writer::message(out, 13, 32).i64(min).i64(max).i64(min).i64(max);
        }
        Filter::PercentPriceBySide { up, down } => {
            let (exponent, [up, down]) = aligned([up, down]);
            Writer::message(out, 3, 37)
                .u8(exponent.cast_unsigned())
                .i64(up)
                .i64(down)
                .i64(up)
                .i64(down)
                .i32(AVERAGE_MINUTES.into());
        }
        Filter::Notional { min, max } => {
            let (exponent, [min, max]) = aligned([min, max]);
            Writer::message(out, 6, 23)
                .u8(exponent.cast_unsigned())
                .i64(min)
                .bool(true)
                .i64(max)
                .bool(false)
                .i32(AVERAGE_MINUTES.into());
        }
    }
}

fn put_steps(out: &mut Vec<u8>, template: u16, steps: Steps) {
    let (exponent, [min, max, step]) = aligned([steps.min, steps.max, steps.step]);
    Writer::message(out, template, 25)
        .u8(exponent.cast_unsigned())
        .i64(min)
        .i64(max)
        .i64(step);
}

fn put_limit(out: &mut Vec<u8>, template: u16, limit: i64) {
    Writer::message(out, template, 8).i64(limit);
}

/// Mantissas under one exponent, that of the finest. What does not fit then is told as the largest that does.
fn aligned<const N: usize>(decimals: [Decimal; N]) -> (i8, [i64; N]) {
    let finest = decimals.iter().map(|it| it.exponent).min().unwrap_or(0);
    let mantissa = |it: Decimal| it.rescale(finest).map_or(i64::MAX, |it| it.mantissa);
    (finest, decimals.map(mantissa))
}
