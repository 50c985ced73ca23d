//! Cases from seeds: each seed is one sequence of steps, and one that fails is made as short as it gets.

use std::fmt::Debug;
use std::ops::Range;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::Checked;

/// The seeds to run, `usual` of them unless `DEPTHCAST_SEEDS` says otherwise: a number, or two with .. between them.
pub(super) fn seeds(usual: u64) -> Range<u64> {
    let Ok(text) = std::env::var("DEPTHCAST_SEEDS") else {
        return 0..usual;
    };
    let number = |text: &str| {
        text.parse()
            .expect("DEPTHCAST_SEEDS is a number, or two with .. between them")
    };
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&text),
    }
}

/// Runs the case of each seed; panics with the shortest that fails.
pub(super) fn for_each_seed<S: Strategy<Value: Debug>>(
    usual: u64,
    strategy: &S,
    under: &str,
    run: impl Fn(&S::Value) -> Checked,
) {
    for seed in seeds(usual) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = ProptestConfig {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 20_000,
            ..ProptestConfig::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let outcome = TestRunner::new_with_rng(config, rng)
            .run(strategy, |case| run(&case).map_err(TestCaseError::fail));
        if let Err(error) = outcome {
            panic!("seed {seed} under {under}: {error}");
        }
    }
}
