/// Tidings' own protocol, version 1.
pub mod native;
