/// What a broker has to tell its operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How bad it is.
    pub level: Level,
    /// What happened, in a sentence.
    pub text: String,
}

/// How bad a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Something is wrong, and the broker goes on.
    Warning,
    /// A stream cannot be written any more: the process should end and be started again.
    Fatal,
}
