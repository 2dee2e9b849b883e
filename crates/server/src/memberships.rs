use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::ClientId;

/// How long the groups of a client that left are kept for it.
const KEEP_MS: u64 = 600_000;
/// Most clients that left whose groups are kept.
const LEFT_MAX: usize = 100_000;

/// The groups that clients were put in over the API: one that gets its id back on another
/// connection to this node is still in them.
#[derive(Default)]
pub(crate) struct Memberships {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    members: HashMap<ClientId, Member>,
    /// Groups of all clients of a user, present and future.
    of_users: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Who left when; some have come back since.
    left: VecDeque<(u64, ClientId)>,
}

struct Member {
    /// Nobody else gets its groups, with whatever token.
    user: Option<Arc<str>>,
    groups: Vec<Arc<str>>,
    left_at_ms: Option<u64>,
}

impl Memberships {
    /// A user's clients were put in a group, or taken out.
    pub(crate) fn set_user(&self, user: &Arc<str>, group: &Arc<str>, is_member: bool) {
        let mut state = self.state.lock();
        let groups = state.of_users.entry(user.clone()).or_default();
        groups.retain(|other| other != group);
        if is_member {
            groups.push(group.clone());
        } else if groups.is_empty() {
            state.of_users.remove(user);
        }
    }

    /// The groups of a user's clients, with more that one of them has.
    pub(crate) fn of(&self, user: Option<&str>, more: &[Arc<str>]) -> Vec<Arc<str>> {
        let mut groups = Vec::new();
        let state = self.state.lock();
        let of_user = user.and_then(|user| state.of_users.get(user)).into_iter().flatten();
        for group in more.iter().chain(of_user) {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        groups
    }

    /// The groups of a connected client that it was put in itself.
    pub(crate) fn of_client(&self, id: ClientId) -> Vec<Arc<str>> {
        let state = self.state.lock();
        state.members.get(&id).map(|member| member.groups.clone()).unwrap_or_default()
    }

    /// A client has shown who it is: what it was put in before is its user's from now on.
    pub(crate) fn identify(&self, id: ClientId, user: Option<&Arc<str>>) {
        if let Some(member) = self.state.lock().members.get_mut(&id) {
            member.user = user.cloned();
        }
    }

    /// A connected client was put in a group, or taken out.
    pub(crate) fn set(
        &self,
        id: ClientId,
        user: Option<&Arc<str>>,
        group: &Arc<str>,
        is_member: bool,
    ) {
        let mut state = self.state.lock();
        let member = state.members.entry(id).or_insert_with(|| Member {
            user: user.cloned(),
            groups: Vec::new(),
            left_at_ms: None,
        });
        member.groups.retain(|other| other != group);
        if is_member {
            member.groups.push(group.clone());
        } else if member.groups.is_empty() {
            state.members.remove(&id);
        }
    }

    /// A client comes back under its id, as this user: its groups.
    pub(crate) fn come_back(&self, id: ClientId, user: Option<&str>) -> Vec<Arc<str>> {
        let mut state = self.state.lock();
        let member = state.members.get_mut(&id).filter(|member| member.user.as_deref() == user);
        let Some(member) = member else { return Vec::new() };
        member.left_at_ms = None;
        member.groups.clone()
    }

    /// A client got another id: what it was put in before is kept under that one.
    pub(crate) fn rename(&self, before: ClientId, id: ClientId) {
        if before == id {
            return;
        }
        let moved = self.state.lock().members.remove(&before);
        let Some(moved) = moved else { return };
        for group in &moved.groups {
            self.set(id, moved.user.as_ref(), group, true);
        }
    }

    /// A client left, at this time in ms of the node's clock.
    pub(crate) fn leave(&self, now_ms: u64, id: ClientId) {
        let mut state = self.state.lock();
        if let Some(member) = state.members.get_mut(&id) {
            member.left_at_ms = Some(now_ms);
            state.left.push_back((now_ms, id));
        }
        let is_over = |at_ms: u64| now_ms.saturating_sub(at_ms) > KEEP_MS;
        while let Some((at_ms, id)) = state.left.front().copied()
            && (is_over(at_ms) || state.left.len() > LEFT_MAX)
        {
            state.left.pop_front();
            // Unless it came back, or left again later.
            if state.members.get(&id).is_some_and(|member| member.left_at_ms == Some(at_ms)) {
                state.members.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(groups: Vec<Arc<str>>) -> Vec<String> {
        groups.iter().map(|group| group.to_string()).collect()
    }

    #[test]
    fn groups_are_kept_for_a_while_for_the_same_user() {
        let (kept, ann) = (Memberships::default(), Arc::from("ann"));
        let [red, blue] = ["red", "blue"].map(Arc::from);
        kept.set(ClientId(1), Some(&ann), &red, true);
        kept.set(ClientId(1), Some(&ann), &blue, true);
        kept.set(ClientId(1), Some(&ann), &red, false);
        kept.leave(0, ClientId(1));
        assert!(kept.come_back(ClientId(1), None).is_empty());
        kept.leave(KEEP_MS, ClientId(2));
        assert_eq!(names(kept.come_back(ClientId(1), Some("ann"))), ["blue"]);
        // Who came back is not forgotten, and who left again is not forgotten too early.
        kept.leave(KEEP_MS + 1, ClientId(1));
        kept.leave(2 * KEEP_MS, ClientId(2));
        assert_eq!(names(kept.come_back(ClientId(1), Some("ann"))), ["blue"]);
        kept.leave(2 * KEEP_MS, ClientId(1));
        kept.leave(3 * KEEP_MS + 1, ClientId(2));
        assert!(kept.come_back(ClientId(1), Some("ann")).is_empty());
        assert!(kept.state.lock().left.is_empty());
    }

    #[test]
    fn groups_of_before_the_hello_go_with_the_new_id() {
        let kept = Memberships::default();
        let [red, blue] = ["red", "blue"].map(Arc::from);
        kept.set(ClientId(1), None, &red, true);
        kept.set(ClientId(2), None, &blue, true);
        kept.rename(ClientId(2), ClientId(1));
        kept.rename(ClientId(1), ClientId(1));
        assert_eq!(names(kept.come_back(ClientId(1), None)), ["red", "blue"]);
        assert!(kept.come_back(ClientId(2), None).is_empty());
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let (kept, red) = (Memberships::default(), Arc::from("red"));
        for id in 0..=LEFT_MAX as u128 {
            kept.set(ClientId(id), None, &red, true);
            kept.leave(0, ClientId(id));
        }
        assert!(kept.come_back(ClientId(0), None).is_empty());
        assert_eq!(kept.state.lock().members.len(), LEFT_MAX);
    }
}
