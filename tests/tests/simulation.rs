//! Whole nodes in virtual time: a seed reproduces any failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tidings_tests::simulator::plant::Planted;
use tidings_tests::simulator::{Outcome, simulate};

/// Lets a seed's world happen; a panic in it is a failure like any other.
fn attempt(seed: u64, is_traced: bool) -> Result<Outcome, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| simulate(seed, Planted::default(), is_traced)));
    match outcome {
        Ok(Outcome { violation: Some(violation), trace, .. }) => {
            Err(format!("{}\n{}: {}", trace.join("\n"), violation.promise, violation.what))
        }
        Ok(outcome) => Ok(outcome),
        Err(_) => Err("it panicked; see above".into()),
    }
}

#[test]
fn many_worlds() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (first, count) = (number("TIDINGS_FIRST", 0), number("TIDINGS_SEEDS", 400));
    let began = Instant::now();
    let (mut events, mut failures) = (0, 0);
    for seed in first..first + count {
        match attempt(seed, false) {
            Ok(outcome) => events += outcome.events,
            Err(what) => {
                failures += 1;
                println!("seed {seed}: {}", what.trim());
            }
        }
    }
    println!("{count} worlds, {events} events, {:?}", began.elapsed());
    assert_eq!(failures, 0);
}

#[test]
#[ignore = "lets one world happen: TIDINGS_SEED=… cargo test -p tidings-tests --test simulation replay -- --ignored"]
fn replay() {
    let seed = std::env::var("TIDINGS_SEED").unwrap().parse().unwrap();
    if let Err(what) = attempt(seed, true) {
        panic!("seed {seed}: {what}");
    }
}
