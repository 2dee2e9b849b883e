//! What every broker must do, as functions that panic where one does not.
//!
//! A broker's test gives a function that makes a `Harness` of a `Setup`; the list of
//! [`for_each_broker_behaviour`](crate::for_each_broker_behaviour) makes tests of the behaviours.
// A suite fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

/// What behaviours are told in: a broker in a world with a clock.
pub mod world;
/// Seqs, times and who comes first.
pub mod order;
/// Pages.
pub mod reading;
/// What is kept, and what is given back.
pub mod retention;
/// Idempotent publishing.
pub mod ids;
/// The newest events and who is woken by them.
pub mod tail;
/// Where a subscription's history begins.
pub mod locating;
/// How far devices have acknowledged.
pub mod cursors;
/// Epochs, restarts, and streams that do not exist.
pub mod lifetime;
/// What is there again after a restart: only for brokers that keep it.
pub mod restarts;
/// Random histories against a simple model.
pub mod model;

pub use world::{Harness, MAIN, Make, OTHER, Setup};

/// A behaviour: panics where the broker that `make` makes does not have it.
pub type Behaviour = fn(&Make);

/// Hands every behaviour to a macro, as `module { name name … }` in the order of the modules.
#[macro_export]
macro_rules! for_each_broker_behaviour {
    ($callback:ident) => {
        $callback! {
            order {
                seqs_are_contiguous_from_one
                an_acknowledgement_names_the_event
                an_empty_array_is_answered
                streams_count_apart
                time_never_goes_back
                concurrent_appenders_agree
            }
            reading {
                pages_have_no_hole_from_any_position
                a_page_keeps_its_budget
                nothing_comes_after_the_end
                pages_and_tail_agree
                pages_have_no_hole_while_retention_works
                selected_reads_bring_all_that_matches
                newest_reads_bring_the_newest_of_each_topic_and_audience
            }
            retention {
                by_count_is_exact
                by_bytes_is_exact
                by_age_takes_hold_when_appending
                by_age_takes_hold_in_time
                the_tail_learns_what_is_too_old
                the_newest_event_is_kept_whatever_its_size
                a_jump_of_the_wall_clock_forgets_nothing
                what_is_forgotten_is_freed
            }
            ids {
                the_same_again_is_a_duplicate
                other_content_is_a_conflict
                ids_belong_to_publisher_and_stream
                an_array_may_repeat_itself
                the_window_ends_in_time
                the_window_ends_by_count
                the_window_outlasts_retention
                of_concurrent_publishers_one_is_first
            }
            tail {
                events_are_there_before_the_answer
                a_burst_wakes_once
                a_pull_begins_at_its_place
                bytes_are_bounded
                big_events_pass
                no_wake_is_lost
            }
            locating {
                last_counts_what_matches
                last_counts_what_is_visible
                last_ends_at_its_bound
                last_ends_at_what_is_kept
                since_finds_the_first_at_or_after
                the_place_agrees_with_pages
                the_place_is_right_while_retention_works
            }
            cursors {
                what_was_acknowledged_is_loaded
                a_cursor_only_grows_within_an_epoch
                what_no_reader_can_have_is_refused
                a_new_epoch_begins_anew
                a_restart_forgets_no_more_than_events
                devices_and_streams_have_cursors_of_their_own
                listings_are_in_pages
                what_nobody_uses_is_forgotten
                the_longest_unused_makes_room
                concurrent_acknowledgements_agree
            }
            lifetime {
                every_stream_has_an_epoch_of_its_own
                a_restart_is_honest
                unknown_streams_are_not_found
            }
            model {
                random_histories
            }
        }
    };
}

/// Hands the behaviours of brokers that keep what they acknowledge to a macro, in the same way.
#[macro_export]
macro_rules! for_each_restart_behaviour {
    ($callback:ident) => {
        $callback! {
            restarts {
                everything_is_there_again
                ids_are_remembered
                ids_outlive_their_events
                ages_count_on
                time_goes_on
                rare_topics_are_found
                the_newest_are_found_again
                cursors_are_there_again
                cursors_are_forgotten_as_if_nothing_had_happened
                histories_go_on
            }
        }
    };
}

macro_rules! list {
    ($($module:ident { $($name:ident)* })*) => {
        /// Every behaviour by name.
        pub const BEHAVIOURS: &[(&str, Behaviour)] = &[$($(
            (concat!(stringify!($module), "::", stringify!($name)), $module::$name),
        )*)*];
    };
}
for_each_broker_behaviour!(list);

macro_rules! restart_list {
    ($($module:ident { $($name:ident)* })*) => {
        /// Every behaviour over restarts by name.
        pub const RESTART_BEHAVIOURS: &[(&str, Behaviour)] = &[$($(
            (concat!(stringify!($module), "::", stringify!($name)), $module::$name),
        )*)*];
    };
}
for_each_restart_behaviour!(restart_list);
