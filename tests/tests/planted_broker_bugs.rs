//! The suite for brokers is tried itself: on a sound broker that breaks one promise at a time.
//! Each must be caught.
// Helpers of tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidings_tests::broker_conformance::{BEHAVIOURS, Behaviour};

/// The broker that breaks promises.
mod planted;

use planted::{BUGS, Bug, make};

/// The first behaviour of a module of the suite, or of all, that fails with a bug.
fn caught_by(bug: Bug, module: &str) -> Option<&'static str> {
    let fails = |behaviour: Behaviour| {
        catch_unwind(AssertUnwindSafe(|| behaviour(&|setup| make(bug, setup)))).is_err()
    };
    let mut behaviours = BEHAVIOURS.iter().filter(|(name, _)| name.starts_with(module));
    behaviours.find(|(_, behaviour)| fails(*behaviour)).map(|(name, _)| *name)
}

#[test]
fn every_planted_bug_is_caught_where_it_belongs() {
    let missed: Vec<_> =
        BUGS.iter().filter(|(bug, module)| caught_by(*bug, module).is_none()).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn random_histories_catch_what_happens_between_two_calls() {
    let bugs = [
        Bug::SwapsAnswers,
        Bug::SwapsTwoInPages,
        Bug::DropsOneFromPages,
        Bug::SaysNothingOfRetention,
        Bug::KeepsOneTooMany,
        Bug::NeverMaintains,
        Bug::AcceptsDuplicates,
        Bug::OverlooksConflicts,
        Bug::MixesPublishers,
        Bug::ForgetsIdsEarly,
        Bug::ForgetsIdsWithEvents,
        Bug::SwapsTwoInTheTail,
        Bug::HasNoTailBound,
        Bug::ShowsEveryAudience,
        Bug::HidesTruncation,
        Bug::LocatesOneLate,
    ];
    let missed: Vec<_> =
        bugs.into_iter().filter(|bug| caught_by(*bug, "model").is_none()).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn the_wrapper_without_a_bug_passes() {
    assert_eq!(caught_by(Bug::None, ""), None);
}
