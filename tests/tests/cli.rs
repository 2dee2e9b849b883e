//! The program as people and scripts use it: each command through the real binary.
// Helpers of tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod cli {
    /// Running the program, and reading what it says.
    pub(crate) mod program;
    /// Starting, reloading and ending a server.
    mod serve;
    /// Publishing.
    mod publish;
    /// Watching.
    mod subscribe;
    /// Looking at a running server, and steering it.
    mod operate;
    /// Help, and what needs no server.
    mod usage;
}
