//! What was over a time that moves along: parts that join, of which the oldest go. The whole is known at any moment without
//! going through the parts, and nothing is ever taken back out of a sum, so highest and lowest are as easy as volumes.
//!
//! The parts that came first are kept as what each makes together with those behind it; when the last of them has gone, those
//! that came since are joined so, once each.

use std::collections::VecDeque;

use crate::limits::push_bounded;

/// A part of what a [`Window`] is over.
pub trait Part: Copy {
    /// This and a later one as one.
    fn joined(&self, later: &Self) -> Self;
}

/// A time that moves along in whole parts of it.
#[derive(Clone, Debug)]
pub struct Window<P> {
    /// How long it is, and each part, microseconds.
    span_us: i64,
    part_us: i64,
    /// Parts that are over, oldest first, each with its end. The first `joined` of them with all up to the last of those.
    parts: VecDeque<(i64, P)>,
    joined: usize,
    /// Those behind them as one.
    rest: Option<P>,
    /// The part that may have more, and its end.
    open: Option<(i64, P)>,
    /// Parts that went, since that was last asked.
    gone: usize,
}

impl<P: Part> Window<P> {
    /// A window of `span_us`, whose begin moves by `part_us`, microseconds.
    pub fn new(span_us: i64, part_us: i64) -> Window<P> {
        Window {
            span_us: span_us.max(1),
            part_us: part_us.max(1),
            parts: VecDeque::new(),
            joined: 0,
            rest: None,
            open: None,
            gone: 0,
        }
    }

    /// Where it begins when it ends at `now_us`, as [`begin_us`] has it.
    pub fn begin_us(&self, now_us: i64) -> i64 {
        begin_us(now_us, self.span_us, self.part_us)
    }

    /// Takes what was at `at_us`, which is not before what it took last.
    pub fn add(&mut self, at_us: i64, more: P) {
        match &mut self.open {
            Some((end_us, open)) if at_us < *end_us => *open = open.joined(&more),
            _ => {
                if let Some((end_us, part)) = self.open.take() {
                    self.expire(at_us);
                    // So none has to go for it: a window has one part more than fit into it at most, and here the next one begins.
                    let parts_max =
                        usize::try_from(self.span_us / self.part_us).map_or(usize::MAX, |parts| parts + 2);
                    push_bounded(&mut self.parts, (end_us, part), parts_max);
                    self.rest = Some(self.rest.map_or(part, |rest| rest.joined(&part)));
                }
                let end_us = (at_us.div_euclid(self.part_us) + 1).saturating_mul(self.part_us);
                self.open = Some((end_us, more));
            }
        }
    }

    /// Lets go what is before the window that ends at `now_us`. Gives how many parts went since it was last asked.
    pub fn move_to(&mut self, now_us: i64) -> usize {
        self.expire(now_us);
        let begin_us = self.begin_us(now_us);
        if self.open.is_some_and(|(end_us, _)| end_us <= begin_us) {
            self.open = None;
            self.gone += 1;
        }
        std::mem::take(&mut self.gone)
    }

    /// Lets go the parts that are over and before the window that ends at `now_us`.
    fn expire(&mut self, now_us: i64) {
        let begin_us = self.begin_us(now_us);
        while self.parts.front().is_some_and(|(end_us, _)| *end_us <= begin_us) {
            if self.joined == 0 {
                self.join_all();
            }
            self.parts.pop_front();
            self.joined -= 1;
            self.gone += 1;
        }
    }

    /// When the oldest part goes, microseconds; None where there is none.
    pub fn due_us(&self) -> Option<i64> {
        let first = self.parts.front().or(self.open.as_ref());
        // Where the window begins is rounded up: the part goes as soon as its own begin is too long ago.
        first.map(|(end_us, _)| end_us.saturating_add(self.span_us - self.part_us + 1))
    }

    /// All of it as one.
    pub fn whole(&self) -> Option<P> {
        let first = self.parts.front().filter(|_| self.joined > 0);
        let all = [
            first.map(|(_, part)| *part),
            self.rest,
            self.open.map(|(_, part)| part),
        ];
        all.into_iter()
            .flatten()
            .reduce(|so_far, part| so_far.joined(&part))
    }

    /// How many parts are kept.
    pub fn len(&self) -> usize {
        self.parts.len() + usize::from(self.open.is_some())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn join_all(&mut self) {
        let mut behind: Option<P> = None;
        for (_, part) in self.parts.iter_mut().rev() {
            if let Some(behind) = &behind {
                *part = part.joined(behind);
            }
            behind = Some(*part);
        }
        self.joined = self.parts.len();
        self.rest = None;
    }
}

/// Where a window of `span_us` begins that ends at `now_us` and moves by `part_us`: it is at most as long as it should be, and by
/// less than a part shorter.
pub fn begin_us(now_us: i64, span_us: i64, part_us: i64) -> i64 {
    let span_ago = now_us.saturating_sub(span_us);
    let parts = span_ago.div_euclid(part_us) + i64::from(span_ago.rem_euclid(part_us) > 0);
    parts.saturating_mul(part_us)
}
