//! Each rule of the matching engine by itself, and sequences of operations against a model.

mod model;
mod rules;

use super::*;

fn levels(book: &Matching, side: Side) -> Vec<(i64, i64)> {
    book.levels(side).map(|level| (level.price, level.qty)).collect()
}

fn pairs(levels: &[Level]) -> Vec<(i64, i64)> {
    levels.iter().map(|level| (level.price, level.qty)).collect()
}
