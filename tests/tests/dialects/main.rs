//! Clients of existing systems, each with the words of its system, against the profile that ships
//! for it.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod gesture;
mod speech;
mod studio;
mod table;
mod together;
mod trainer;
