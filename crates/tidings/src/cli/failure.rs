use std::io;
use std::process::ExitCode;

use super::output;
use super::text::escaped;

/// What a command comes to.
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Why a command did not do what was asked, for people, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// It failed: exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: 1, message: format!("error: {}", escaped(&message.into())), hint: None }
    }

    /// It cannot be asked for like this: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: 2, ..Self::failed(message) }
    }

    /// The configuration is wrong: exit code 2, with a text of several lines that stands as it is.
    pub(crate) fn configuration(rendered: String) -> Self {
        Self { exit: 2, message: rendered, hint: None }
    }

    /// It failed, with a text of several lines that stands as it is.
    pub(crate) fn failed_at_length(rendered: String) -> Self {
        Self { exit: 1, message: rendered, hint: None }
    }

    /// It failed, and everything that there is to say has been said.
    pub(crate) fn told() -> Self {
        Self { exit: 1, message: String::new(), hint: None }
    }

    /// Standard output takes no more. Whoever closes a pipe has seen enough, so that is no failure.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: 0, message: String::new(), hint: None };
        }
        Self::failed(format!("cannot write to standard output: {error}"))
    }

    /// Says what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells it on standard error.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            output::error_line(&self.message);
        }
        if let Some(hint) = &self.hint {
            output::error_line(&format!("hint: {hint}"));
        }
        ExitCode::from(self.exit)
    }
}
