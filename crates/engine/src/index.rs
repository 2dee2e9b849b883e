use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use protocol::pattern::start_of_rest;
use protocol::{Event, Filter, Mode, Pattern, SubscriptionId, Topic};
use slab::Slab;
use smallvec::SmallVec;

use crate::filters::{FilterKey, Filters};
use crate::streams::StreamIndex;

/// A subscription's place in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SubscriptionKey(u32);

/// A node of the pattern tree.
pub(crate) type NodeKey = u32;

const ROOT: NodeKey = 0;

/// The one place that holds subscriptions: a tree of pattern tokens, so that the cost of a match
/// grows with what matches and not with what is subscribed.
pub(crate) struct Index {
    nodes: Slab<Node>,
    subscriptions: Slab<Subscription>,
    filters: Filters,
    generation: u64,
    /// Nodes that matches looked at so far.
    visited: Cell<u64>,
}

#[derive(Default)]
struct Node {
    parent: NodeKey,
    token: Box<str>,
    children: HashMap<Box<str>, NodeKey>,
    /// The child for `*`; kept apart because every match looks at it.
    any_one: Option<NodeKey>,
    /// The child for a final `>`.
    any_rest: Option<NodeKey>,
    /// The children for a final `text>`, by how the rest begins.
    #[expect(clippy::box_collection, reason = "few nodes have one, and all have room for it")]
    rests: Option<Box<HashMap<Box<str>, NodeKey>>>,
    /// Subscriptions with a pattern that ends here, each with the place of that pattern in its
    /// `takes`.
    subscribers: Vec<(SubscriptionKey, u32)>,
}

/// What one subscription takes and leaves out.
pub(crate) struct Subscription {
    /// The session that it belongs to, as its place in the worker.
    pub(crate) session: u32,
    /// Its name within the session.
    pub(crate) id: SubscriptionId,
    /// The mode that was asked for; a stream may narrow it.
    pub(crate) mode: Mode,
    takes: SmallVec<[Taken; 1]>,
    except: Arc<[Pattern]>,
    filter: Option<FilterKey>,
}

/// A pattern of a subscription: the node at which it ends, and the place among its subscribers.
struct Taken {
    node: NodeKey,
    slot: u32,
}

impl Index {
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::default());
        let (subscriptions, filters) = (Slab::new(), Filters::new());
        Self { nodes, subscriptions, filters, generation: 0, visited: Cell::new(0) }
    }

    /// Changes whenever a match may come out differently.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// A match may come out differently although no subscription changed.
    pub(crate) fn forget_matches(&mut self) {
        self.generation += 1;
    }

    pub(crate) fn get(&self, key: SubscriptionKey) -> Option<&Subscription> {
        self.subscriptions.get(key.0 as usize)
    }

    pub(crate) fn insert(
        &mut self,
        session: u32,
        id: SubscriptionId,
        mode: Mode,
        topics: &[Pattern],
        except: Vec<Pattern>,
        filter: Option<&Arc<Filter>>,
    ) -> SubscriptionKey {
        self.generation += 1;
        let takes = SmallVec::new();
        // An empty one of its own would cost an allocation.
        let except = if except.is_empty() { Arc::default() } else { except.into() };
        let filter = filter.map(|filter| self.filters.hold(filter));
        let subscription = Subscription { session, id, mode, takes, except, filter };
        let place = self.subscriptions.insert(subscription);
        let key = SubscriptionKey(place as u32);
        for pattern in topics {
            self.take(key, pattern);
        }
        key
    }

    fn take(&mut self, key: SubscriptionKey, pattern: &Pattern) {
        let node = self.node_of(pattern);
        let (Some(subscription), Some(end)) =
            (self.subscriptions.get_mut(key.0 as usize), self.nodes.get_mut(node as usize))
        else {
            return;
        };
        let slot = end.subscribers.len() as u32;
        end.subscribers.push((key, subscription.takes.len() as u32));
        subscription.takes.push(Taken { node, slot });
    }

    /// The node at which `pattern` ends, made where it is new.
    fn node_of(&mut self, pattern: &Pattern) -> NodeKey {
        let mut at = ROOT;
        for token in pattern.tokens() {
            at = match self.child(at, token) {
                Some(child) => child,
                None => self.add_child(at, token),
            };
        }
        at
    }

    fn child(&self, at: NodeKey, token: &str) -> Option<NodeKey> {
        let node = self.nodes.get(at as usize)?;
        match token {
            "*" => node.any_one,
            ">" => node.any_rest,
            _ => match start_of_rest(token) {
                Some(start) => node.rests.as_ref()?.get(start).copied(),
                None => node.children.get(token).copied(),
            },
        }
    }

    fn add_child(&mut self, parent: NodeKey, token: &str) -> NodeKey {
        let node = Node { parent, token: token.into(), ..Node::default() };
        let child = self.nodes.insert(node) as NodeKey;
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            match token {
                "*" => node.any_one = Some(child),
                ">" => node.any_rest = Some(child),
                _ => match start_of_rest(token) {
                    Some(start) => {
                        node.rests.get_or_insert_default().insert(start.into(), child);
                    }
                    None => drop(node.children.insert(token.into(), child)),
                },
            }
        }
        child
    }

    /// A subscription leaves out what this pattern selects, too.
    pub(crate) fn leave_out(&mut self, key: SubscriptionKey, pattern: &Pattern) {
        self.generation += 1;
        if let Some(subscription) = self.subscriptions.get_mut(key.0 as usize) {
            let more = std::iter::once(pattern);
            subscription.except = subscription.except.iter().chain(more).cloned().collect();
        }
    }

    /// Removes a subscription.
    pub(crate) fn remove(&mut self, key: SubscriptionKey) {
        self.generation += 1;
        while let Some(subscription) = self.subscriptions.get_mut(key.0 as usize) {
            let Some(taken) = subscription.takes.pop() else { break };
            self.leave(taken);
        }
        let removed = self.subscriptions.try_remove(key.0 as usize);
        if let Some(filter) = removed.and_then(|subscription| subscription.filter) {
            self.filters.release(filter);
        }
    }

    /// The filters of its subscriptions.
    pub(crate) fn filters(&self) -> &Filters {
        &self.filters
    }

    /// A stream begins an epoch: its seqs name other events.
    pub(crate) fn forget_verdicts(&mut self, at: StreamIndex) {
        self.filters.forget(at);
    }

    /// What must hold of the events of a subscription.
    pub(crate) fn filter(&self, subscription: &Subscription) -> Option<&Arc<Filter>> {
        self.filters.get(subscription.filter?)
    }

    /// Where a pattern ends, if anybody subscribes to it.
    pub(crate) fn find(&self, pattern: &Pattern) -> Option<NodeKey> {
        pattern.tokens().try_fold(ROOT, |at, token| self.child(at, token))
    }

    /// Takes the pattern that ends at `node` out of a subscription; whether it was there.
    pub(crate) fn remove_topic(&mut self, key: SubscriptionKey, node: NodeKey) -> bool {
        let Some(subscription) = self.get(key) else { return false };
        let found = subscription.takes.iter().position(|taken| taken.node == node);
        let Some(place) = found else { return false };
        self.generation += 1;
        let Some(subscription) = self.subscriptions.get_mut(key.0 as usize) else { return false };
        let taken = subscription.takes.swap_remove(place);
        // The pattern that filled the hole has a new place; its node has to know.
        let moved = subscription.takes.get(place).map(|moved| (moved.node, moved.slot));
        if let Some((node, slot)) = moved
            && let Some(node) = self.nodes.get_mut(node as usize)
            && let Some(entry) = node.subscribers.get_mut(slot as usize)
        {
            entry.1 = place as u32;
        }
        self.leave(taken);
        true
    }

    /// Takes an entry out of its node's subscribers, and nodes that nobody needs out of the tree.
    fn leave(&mut self, taken: Taken) {
        let Some(node) = self.nodes.get_mut(taken.node as usize) else { return };
        node.subscribers.swap_remove(taken.slot as usize);
        if let Some(&(moved, place)) = node.subscribers.get(taken.slot as usize)
            && let Some(subscription) = self.subscriptions.get_mut(moved.0 as usize)
            && let Some(entry) = subscription.takes.get_mut(place as usize)
        {
            entry.slot = taken.slot;
        }
        self.prune(taken.node);
    }

    fn prune(&mut self, mut at: NodeKey) {
        while at != ROOT {
            let Some(node) = self.nodes.get(at as usize) else { return };
            let is_needed = !node.subscribers.is_empty()
                || !node.children.is_empty()
                || node.any_one.is_some()
                || node.any_rest.is_some()
                || node.rests.is_some();
            if is_needed {
                return;
            }
            let node = self.nodes.remove(at as usize);
            if let Some(parent) = self.nodes.get_mut(node.parent as usize) {
                match &*node.token {
                    "*" => parent.any_one = None,
                    ">" => parent.any_rest = None,
                    token => match start_of_rest(token) {
                        Some(start) => {
                            parent.rests.as_mut().and_then(|rests| rests.remove(start));
                            parent.rests.take_if(|rests| rests.is_empty());
                        }
                        None => drop(parent.children.remove(token)),
                    },
                }
            }
            at = node.parent;
        }
    }

    /// Nodes that matches looked at so far: what they cost.
    pub(crate) fn visited(&self) -> u64 {
        self.visited.get()
    }

    /// Collects the subscriptions that take `topic` and do not leave it out; one that takes it
    /// through several patterns may come several times.
    pub(crate) fn matches(&self, topic: &Topic, found: &mut Vec<SubscriptionKey>) {
        found.clear();
        let tokens: SmallVec<[&str; 16]> = topic.tokens().collect();
        self.walk(ROOT, &tokens, topic.is_system(), found);
        found.retain(|key| self.get(*key).is_some_and(|subscription| !subscription.leaves(topic)));
    }

    /// `is_system` holds back the wildcards of the first token; a topic has at most 16 tokens, so
    /// recursion is shallow.
    fn walk(
        &self,
        at: NodeKey,
        tokens: &[&str],
        is_system: bool,
        found: &mut Vec<SubscriptionKey>,
    ) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        self.visited.set(self.visited.get() + 1);
        let Some((token, rest)) = tokens.split_first() else {
            found.extend(node.subscribers.iter().map(|(key, _)| *key));
            return;
        };
        if !is_system {
            if let Some(end) = node.any_rest.and_then(|child| self.nodes.get(child as usize)) {
                found.extend(end.subscribers.iter().map(|(key, _)| *key));
            }
            if let Some(child) = node.any_one {
                self.walk(child, rest, false, found);
            }
        }
        if let Some(rests) = &node.rests {
            self.find_rests(rests, token, found);
        }
        if let Some(child) = node.children.get(*token) {
            self.walk(*child, rest, false, found);
        }
    }

    /// Collects the subscriptions with a pattern that has a topic in common with `asked`, and that
    /// do not leave out all of it; one may come several times.
    pub(crate) fn overlapping(&self, asked: &Pattern, found: &mut Vec<SubscriptionKey>) {
        found.clear();
        let tokens: SmallVec<[&str; 16]> = asked.tokens().collect();
        self.overlap(ROOT, &tokens, found);
        let leaves = |subscription: &Subscription| {
            subscription.except.iter().any(|pattern| pattern.contains(asked))
        };
        found.retain(|key| self.get(*key).is_some_and(|subscription| !leaves(subscription)));
    }

    /// Patterns have at most 16 tokens, so recursion is shallow.
    fn overlap(&self, at: NodeKey, asked: &[&str], found: &mut Vec<SubscriptionKey>) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        let Some((token, rest)) = asked.split_first() else {
            return found.extend(node.subscribers.iter().map(|(key, _)| *key));
        };
        let start = start_of_rest(token);
        // What ends with this token takes whatever is below, beside what is right here.
        let below = |child: NodeKey, found: &mut Vec<SubscriptionKey>| {
            if start.is_some() {
                self.overlap(child, &[], found);
                self.overlap(child, &[">"], found);
            } else {
                self.overlap(child, rest, found);
            }
        };
        // In first place, wildcards hold back from the system's topics, on either side.
        let is_system = |token: &str| at == ROOT && token.starts_with('$');
        if !is_system(token) {
            node.any_rest.iter().for_each(|end| self.overlap(*end, &[], found));
            node.any_one.iter().for_each(|child| below(*child, found));
        }
        let is_any = *token == "*";
        let is_held_back = |name: &str| (is_any || *token == ">") && is_system(name);
        for (name, end) in node.rests.iter().flat_map(|rests| rests.iter()) {
            let meets = match start {
                Some(start) => name.starts_with(start) || start.starts_with(&**name),
                None => is_any || token.starts_with(&**name),
            };
            if meets && !is_held_back(name) {
                self.overlap(*end, &[], found);
            }
        }
        if start.is_none() && !is_any {
            node.children.get(*token).iter().for_each(|child| below(**child, found));
            return;
        }
        for (name, child) in &node.children {
            if name.starts_with(start.unwrap_or_default()) && !is_held_back(name) {
                below(*child, found);
            }
        }
    }

    /// A token has few beginnings; how the rest may begin is anybody's choice.
    fn find_rests(
        &self,
        rests: &HashMap<Box<str>, NodeKey>,
        token: &str,
        found: &mut Vec<SubscriptionKey>,
    ) {
        let ends = token.char_indices().map(|(at, c)| at + c.len_utf8());
        let starts = ends.filter_map(|end| token.get(..end));
        for child in starts.filter_map(|start| rests.get(start)) {
            let end = self.nodes.get(*child as usize);
            found.extend(end.iter().flat_map(|end| &end.subscribers).map(|(key, _)| *key));
        }
    }

    /// Whether this one subscription takes `topic`: without looking at any other.
    pub(crate) fn takes(&self, subscription: &Subscription, topic: &Topic) -> bool {
        subscription.takes.iter().any(|taken| self.node_matches(taken.node, topic))
            && !subscription.leaves(topic)
    }

    /// Whether this one subscription takes an event of a stream, its filter included.
    pub(crate) fn wants(
        &self,
        subscription: &Subscription,
        at: StreamIndex,
        event: &Event,
    ) -> bool {
        let accepts = |filter| self.filters.accepts(filter, at, event);
        self.takes(subscription, event.topic()) && subscription.filter.is_none_or(accepts)
    }

    /// Compares the tokens on the way up from `node` with the topic's from the end.
    fn node_matches(&self, node: NodeKey, topic: &Topic) -> bool {
        let mut way: SmallVec<[&str; 16]> = SmallVec::new();
        let mut at = node;
        while at != ROOT {
            let Some(node) = self.nodes.get(at as usize) else { return false };
            way.push(&node.token);
            at = node.parent;
        }
        if topic.is_system() && way.last().is_some_and(|token| matches!(*token, "*" | ">")) {
            return false;
        }
        let mut tokens = topic.tokens();
        for pattern in way.iter().rev() {
            let Some(token) = tokens.next() else { return false };
            if let Some(start) = start_of_rest(pattern) {
                return token.starts_with(start);
            }
            if *pattern != "*" && *pattern != token {
                return false;
            }
        }
        tokens.next().is_none()
    }

    fn text(&self, mut at: NodeKey) -> String {
        let mut tokens = Vec::new();
        while at != ROOT {
            let Some(node) = self.nodes.get(at as usize) else { break };
            tokens.push(&*node.token);
            at = node.parent;
        }
        tokens.reverse();
        tokens.join(".")
    }

    /// The patterns that a subscription takes.
    pub(crate) fn topics(&self, subscription: &Subscription) -> Vec<Pattern> {
        let text = |taken: &Taken| Pattern::parse(&self.text(taken.node)).ok();
        subscription.takes.iter().filter_map(text).collect()
    }

    /// Nodes of the tree; a bound for tests.
    #[cfg(test)]
    fn node_count(&self) -> usize {
        self.nodes.len()
    }
}

impl Subscription {
    /// The patterns that it leaves out.
    pub(crate) fn except(&self) -> &Arc<[Pattern]> {
        &self.except
    }

    /// How many patterns it names.
    pub(crate) fn pattern_count(&self) -> usize {
        self.takes.len() + self.except.len()
    }

    /// Whether it takes the pattern that ends at `node`.
    pub(crate) fn names(&self, node: NodeKey) -> bool {
        self.takes.iter().any(|taken| taken.node == node)
    }

    /// What must hold of its events, by name.
    pub(crate) fn filter(&self) -> Option<FilterKey> {
        self.filter
    }

    /// How many patterns it takes.
    pub(crate) fn topic_count(&self) -> usize {
        self.takes.len()
    }

    fn leaves(&self, topic: &Topic) -> bool {
        self.except.iter().any(|pattern| pattern.matches(topic))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        let token = prop::sample::select(vec!["a", "b", "ab", "*", "$s"]);
        let tail = prop::sample::select(vec!["", "", ">", "a>", "ab>", "$>"]);
        (prop::collection::vec(token, 1..4), tail).prop_map(|(mut tokens, tail)| {
            tokens.extend((!tail.is_empty()).then_some(tail));
            pattern(&tokens.join("."))
        })
    }

    fn any_topic() -> impl Strategy<Value = Topic> {
        let token = prop::sample::select(vec!["a", "b", "ab", "abc", "$s"]);
        prop::collection::vec(token, 1..5)
            .prop_map(|tokens| Topic::parse(&tokens.join(".")).unwrap())
    }

    proptest! {
        #[test]
        fn overlaps_are_those_of_the_patterns(
            patterns in prop::collection::vec(any_pattern(), 1..20),
            asked in any_pattern(),
        ) {
            let mut index = Index::new();
            let mut expected = Vec::new();
            for pattern in &patterns {
                let id = SubscriptionId(1);
                let topics = std::slice::from_ref(pattern);
                let key = index.insert(0, id, Mode::EVERY, topics, Vec::new(), None);
                if pattern.overlaps(&asked) {
                    expected.push(key);
                }
            }
            let mut found = Vec::new();
            index.overlapping(&asked, &mut found);
            found.sort_unstable();
            found.dedup();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn finds_what_patterns_match_through_inserts_and_removals(
            steps in prop::collection::vec(
                (prop::collection::vec(any_pattern(), 1..4), prop::collection::vec(any_pattern(), 0..2), 0..4_u8),
                1..40,
            ),
            topics in prop::collection::vec(any_topic(), 1..20),
        ) {
            let mut index = Index::new();
            let mut model: Vec<(SubscriptionKey, Vec<Pattern>, Vec<Pattern>)> = Vec::new();
            for (takes, except, action) in steps {
                match action {
                    0 if !model.is_empty() => index.remove(model.swap_remove(0).0),
                    1 if !model.is_empty() => {
                        let (key, patterns, _) = &mut model[0];
                        let gone = patterns.pop().unwrap();
                        let node = index.find(&gone).unwrap();
                        prop_assert!(index.get(*key).unwrap().names(node));
                        prop_assert!(index.remove_topic(*key, node));
                        if patterns.is_empty() {
                            index.remove(model.swap_remove(0).0);
                        }
                    }
                    _ => {
                        let key =
                            index.insert(0, SubscriptionId(1), Mode::EVERY, &takes, except.clone(), None);
                        model.push((key, takes, except));
                    }
                }
                for topic in &topics {
                    let mut found = Vec::new();
                    index.matches(topic, &mut found);
                    found.sort();
                    found.dedup();
                    let mut expected: Vec<_> = model
                        .iter()
                        .filter(|(_, takes, except)| {
                            takes.iter().any(|p| p.matches(topic))
                                && !except.iter().any(|p| p.matches(topic))
                        })
                        .map(|(key, ..)| *key)
                        .collect();
                    expected.sort();
                    prop_assert_eq!(&found, &expected);
                    for (key, ..) in &model {
                        let takes = index.takes(index.get(*key).unwrap(), topic);
                        prop_assert_eq!(takes, expected.contains(key));
                    }
                }
            }
            for (key, ..) in model {
                index.remove(key);
            }
            prop_assert_eq!(index.node_count(), 1);
        }
    }
}
