//! The same behaviours through every dialect: what the engine promises holds however it is spelled.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

/// How each dialect says what the behaviours need.
mod spoken;
/// Clients of any dialect.
mod talker;

/// Who is let in, and to what.
mod access;
/// Bounds, and what is answered beyond them.
mod limits;
/// Clients that drop and come back.
mod remembering;
/// What is meant for one client, and clients that do not read.
mod others;
/// Subscribing, unsubscribing, and what is no message.
mod subscribing;

/// Makes a test of a behaviour for each dialect.
macro_rules! for_every_dialect {
    ($($behaviour:ident),* $(,)?) => {$(
        mod $behaviour {
            crate::for_every_dialect!(@ $behaviour native speech table trainer gesture studio);
        }
    )*};
    (@ $behaviour:ident $($dialect:ident)*) => {$(
        #[tokio::test]
        async fn $dialect() {
            super::$behaviour(&crate::spoken::$dialect()).await;
        }
    )*};
}
pub(crate) use for_every_dialect;
