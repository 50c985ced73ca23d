//! Readers that are slow on purpose: what a fleet is told of them, and what it says about them. What they receive is counted
//! apart, so that latencies and counts are of the others alone.

use serde::{Deserialize, Serialize};

use super::counts::Asked;
use super::plan::Duty;
use super::scan::Sink;
use super::sequence::{BENCH_HEAD_BYTES, Sequence, SequenceFault};
use depthcast_wire::ws::Opcode;

/// Which connections of a fleet are slow, beside those from which nothing is read, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowPlan {
    /// From so many connections of a thousand one byte is read now and then, once they are open.
    pub one_byte_per_mille: u32,
    /// How often, milliseconds.
    pub one_byte_every_ms: u32,
    /// So many connections of a thousand stop reading and resume, over and over. They keep a book of each of their depth
    /// streams.
    pub pausing_per_mille: u32,
    /// How long they read nothing, milliseconds.
    pub stop_ms: u32,
    /// How long they read everything in between, milliseconds.
    pub read_ms: u32,
}

impl SlowPlan {
    /// What connection `number` does, where `stalled_per_mille` read nothing at all. Each kind is spread evenly over the
    /// numbers.
    pub fn duty(&self, number: u32, stalled_per_mille: u32) -> Duty {
        let stalled = u64::from(stalled_per_mille.min(1000));
        let one_byte = u64::from(self.one_byte_per_mille).min(1000 - stalled);
        let pausing = u64::from(self.pausing_per_mille).min(1000 - stalled - one_byte);
        let Some(place) = share(number.into(), stalled + one_byte + pausing, 1000) else {
            return Duty::Read;
        };
        if share(place, stalled, stalled + one_byte + pausing).is_some() {
            return Duty::Stall;
        }
        let place = place - place * stalled / (stalled + one_byte + pausing);
        match share(place, one_byte, one_byte + pausing) {
            Some(_) => Duty::OneByte,
            None => Duty::Pause,
        }
    }
}

/// Whether number `n` is one of the `part` of each `whole` numbers, spread evenly; if so, how many are before it.
fn share(n: u64, part: u64, whole: u64) -> Option<u64> {
    let before = |n: u64| n * part / whole;
    (before(n + 1) > before(n)).then(|| before(n))
}

/// What a fleet process saw of its slow readers, ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlowReport {
    /// Connections that are open and read a byte now and then.
    pub one_byte: u32,
    /// Connections that are open and stop and resume.
    pub pausing: u32,
    /// When each connection from which nothing was read was found to be closed or reset, CLOCK_MONOTONIC, microseconds.
    pub stalled_gone_us: Vec<u64>,
    /// The same of those that read a byte now and then.
    pub one_byte_gone_us: Vec<u64>,
    /// Data frames of all slow readers: none of them is in the frames of the others.
    pub frames: u64,
    /// Bytes of theirs.
    pub bytes: u64,
    /// How often a reader began to read again after a stop.
    pub resumes: u64,
    /// Events that told a reader which stops and resumes in one what the others were told in several, or a whole book again.
    pub conflations: u64,
    /// Of those, the ones behind which its book was compared with that of a connection that had kept up, at the same id.
    pub conflations_compared: u64,
    /// Comparisons of books at the same id in all, those among them.
    pub books_compared: u64,
    /// Comparisons in which the books differed.
    pub books_different: u64,
}

impl SlowReport {
    /// Adds another process's.
    pub fn add(&mut self, part: SlowReport) {
        self.one_byte += part.one_byte;
        self.pausing += part.pausing;
        self.stalled_gone_us.extend(part.stalled_gone_us);
        self.one_byte_gone_us.extend(part.one_byte_gone_us);
        self.frames += part.frames;
        self.bytes += part.bytes;
        self.resumes += part.resumes;
        self.conflations += part.conflations;
        self.conflations_compared += part.conflations_compared;
        self.books_compared += part.books_compared;
        self.books_different += part.books_different;
    }

    /// Counts a slow connection that has ended.
    pub fn gone(&mut self, duty: Duty, now_ns: u64) {
        match duty {
            Duty::Stall => self.stalled_gone_us.push(now_ns / 1000),
            Duty::OneByte => self.one_byte_gone_us.push(now_ns / 1000),
            Duty::Read | Duty::Books | Duty::Pause => {}
        }
    }
}

/// Takes frames of the bench format of a slow reader: their numbers are checked, their age means nothing.
#[derive(Debug)]
pub struct Numbered<'c> {
    /// Data frames.
    pub frames: u64,
    /// Frames that were not the next of their stream.
    pub out_of_order: u64,
    /// The first of them.
    pub fault: Option<SequenceFault>,
    /// The connection's streams.
    pub sequence: &'c mut Sequence,
    /// What control frames ask for.
    pub asked: &'c mut Asked,
}

impl Sink for Numbered<'_> {
    const HEAD_BYTES: usize = BENCH_HEAD_BYTES;

    fn data(&mut self, head: &[u8]) {
        self.frames += 1;
        if let Err(fault) = self.sequence.check(head) {
            self.out_of_order += 1;
            self.fault.get_or_insert(fault);
        }
    }

    fn continuation(&mut self) {
        self.frames += 1;
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.asked.control(opcode, payload);
    }

    fn close(&mut self, code: u16) {
        self.asked.close = Some(code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::scan::Scanner;
    use depthcast_wire::ws::server_frame;
    use proptest::prelude::*;

    fn plan(one_byte_per_mille: u32, pausing_per_mille: u32) -> SlowPlan {
        SlowPlan {
            one_byte_per_mille,
            pausing_per_mille,
            ..SlowPlan::default()
        }
    }

    proptest! {
        /// Of any stretch of numbers each kind has its share.
        #[test]
        fn kinds_are_spread_evenly(
            stalled in 0_u32..=400, one_byte in 0_u32..=300, pausing in 0_u32..=300,
            first in 0_u32..20_000, length in 1_u32..5000,
        ) {
            let plan = plan(one_byte, pausing);
            let duties: Vec<Duty> = (first..first + length).map(|number| plan.duty(number, stalled)).collect();
            for (duty, per_mille) in [(Duty::Stall, stalled), (Duty::OneByte, one_byte), (Duty::Pause, pausing)] {
                let count = duties.iter().filter(|&&other| other == duty).count();
                let expected = length as usize * per_mille as usize / 1000;
                prop_assert!(count.abs_diff(expected) <= 4, "{count} {duty:?} of {length}, not {expected}");
            }
        }
    }

    #[test]
    fn shares_of_round_numbers_are_exact() {
        let plan = plan(50, 20);
        let count = |duty| {
            (0..10_000)
                .filter(|&number| plan.duty(number, 100) == duty)
                .count()
        };
        assert_eq!(
            [Duty::Stall, Duty::OneByte, Duty::Pause, Duty::Read].map(count),
            [1000, 500, 200, 8300]
        );
        // More than all: who comes first is served.
        let plan = self::plan(600, 600);
        let count = |duty| (0..1000).filter(|&number| plan.duty(number, 500) == duty).count();
        assert_eq!(
            [Duty::Stall, Duty::OneByte, Duty::Pause].map(count),
            [500, 500, 0]
        );
    }

    #[test]
    fn numbers_are_checked_though_nothing_is_timed() {
        let mut asked = Asked::default();
        let mut sequence = Sequence::new(1);
        let mut sink = Numbered {
            frames: 0,
            out_of_order: 0,
            fault: None,
            sequence: &mut sequence,
            asked: &mut asked,
        };
        let mut scanner = Scanner::default();
        for number in [3_u64, 4, 6, 7] {
            let payload = [[0; 8], number.to_le_bytes()].concat();
            scanner
                .scan(&server_frame(Opcode::Binary, &payload), &mut sink)
                .unwrap();
        }
        assert_eq!((sink.frames, sink.out_of_order), (4, 1));
        assert_eq!(
            sink.fault.unwrap().to_string(),
            "frame 6 of a stream came where 5 was expected"
        );
    }

    #[test]
    fn only_those_that_are_to_be_closed_are_put_down_as_gone() {
        let mut report = SlowReport::default();
        for duty in [Duty::Stall, Duty::OneByte, Duty::Pause, Duty::Read, Duty::Books] {
            report.gone(duty, 5_000);
        }
        let mut sum = report.clone();
        sum.add(report);
        assert_eq!(
            (sum.stalled_gone_us, sum.one_byte_gone_us),
            (vec![5, 5], vec![5, 5])
        );
    }
}
