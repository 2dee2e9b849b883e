use protocol::Topic;

use crate::config::CommandRoute;

/// The most specific route of a command.
pub(super) fn of<'a>(routes: &'a [CommandRoute], command: &Topic) -> Option<&'a CommandRoute> {
    let fitting = routes.iter().filter(|route| route.name.matches(command));
    fitting.min_by_key(|route| route.name.generality())
}
