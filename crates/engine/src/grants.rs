use protocol::{Error, ErrorCode, Pattern};

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Receive events, live or kept.
    Subscribe,
    /// Publish events.
    Publish,
    /// Send commands.
    Command,
    /// Handle commands of others.
    Handle,
}

/// What a client is allowed, as patterns per action. Nothing is allowed that is not named, and no
/// wildcard in first place covers the system's topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Patterns that it may receive.
    pub subscribe: Vec<Pattern>,
    /// Patterns that it may publish to.
    pub publish: Vec<Pattern>,
    /// Patterns of commands that it may send.
    pub command: Vec<Pattern>,
    /// Patterns of commands that it may handle.
    pub handle: Vec<Pattern>,
}

impl Grants {
    /// Whether all that `pattern` selects is allowed: it must be contained in one granted pattern.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`].
    pub fn authorize(&self, action: Action, pattern: &Pattern) -> Result<(), Error> {
        let (granted, verb) = match action {
            Action::Subscribe => (&self.subscribe, "subscribe to"),
            Action::Publish => (&self.publish, "publish to"),
            Action::Command => (&self.command, "send the command"),
            Action::Handle => (&self.handle, "handle the commands"),
        };
        if granted.iter().any(|wide| wide.contains(pattern)) {
            return Ok(());
        }
        let message = format!("this client may not {verb} `{pattern}`");
        Err(Error::new(ErrorCode::Forbidden, message))
    }
}
