use std::sync::Arc;

use protocol::{
    ClientId, Conversation, Epoch, Filter, Mode, Pattern, Request as ClientRequest, Seq,
    SubscriptionId,
};
use smallvec::SmallVec;

use super::{ClientKey, Now, Remembering, Ticket, Worker};
use crate::grants::Grants;
use crate::index::SubscriptionKey;
use crate::render::Rendering;
use crate::session::{Beginning, Ending, Rare, Reader, Replay, Session, SessionCounts, ToldGap};
use crate::streams::StreamIndex;

/// All of a session, taken out of its worker between two inputs; another worker of the same
/// streams can go on with it.
pub struct Snapshot {
    /// How events look to it where it did not choose that.
    rendering: Rendering,
    /// What it chose.
    look: Option<Arc<str>>,
    client: ClientId,
    user: Option<Arc<str>>,
    groups: Vec<Arc<str>>,
    device: Option<Arc<str>>,
    remembering: Option<Box<Remembering>>,
    grants: Arc<Grants>,
    expires_at_ms: Option<u64>,
    must_authenticate: bool,
    conversation: Box<dyn Conversation>,
    heartbeat_ms: u32,
    subscriptions_max: u32,
    subscription_last: u32,
    counts: SessionCounts,
    subscriptions: Vec<Kept>,
    readers: Vec<(Reader, Epoch)>,
    endings: Vec<Ending>,
    gaps: Vec<ToldGap>,
    /// It gets nothing more than what was not written.
    is_closing: bool,
    /// Commands of others that it handles.
    handles: Vec<Pattern>,
    /// Commands that were not carried out, in order.
    commands: Vec<ClientRequest>,
    /// Bytes that were not written.
    unsent: Vec<u8>,
}

/// A subscription with what belongs to it.
struct Kept {
    id: SubscriptionId,
    mode: Mode,
    topics: Vec<Pattern>,
    except: Vec<Pattern>,
    filter: Option<Arc<Filter>>,
    /// The client got it back from an earlier connection and did not ask for it again.
    is_restored: bool,
    beginnings: Vec<(StreamIndex, Seq)>,
    replays: Vec<Replay>,
}

impl Worker {
    /// Takes a client out, whole. Appends and calls that it waits for are answered to nobody.
    pub fn snapshot(&mut self, now: Now, key: ClientKey) -> Option<Snapshot> {
        self.now = now;
        self.session(key)?;
        let kept = self.keep_subscriptions(key);
        let session = self.remove_session(key.place)?;
        let readers = session.readers.iter().filter_map(|reader| self.keep_reader(reader));
        let readers = readers.collect();
        let rare = session.rare.map(|rare| *rare).unwrap_or_default();
        let first = rare.subscribing.map(|subscribing| subscribing.request);
        let first = first.or(rare.reading).or(rare.authenticating);
        let commands: Vec<_> = first.into_iter().chain(rare.waiting).collect();
        // They are counted again when they are carried out.
        let commands_in = session.counts.commands_in.saturating_sub(commands.len() as u64);
        let look = rare.look;
        Some(Snapshot {
            rendering: look.as_ref().map_or(session.rendering, |look| look.plain),
            look: look.map(|look| look.options),
            client: session.client,
            user: session.user,
            groups: rare.groups,
            device: rare.device,
            remembering: rare.remembering,
            grants: session.grants,
            expires_at_ms: session.expiry.map(|expiry| expiry.expires_at_ms()),
            must_authenticate: rare.must_authenticate,
            conversation: session.conversation,
            heartbeat_ms: session.heartbeat_ms,
            subscriptions_max: session.subscriptions_max,
            subscription_last: session.subscription_last,
            counts: SessionCounts { commands_in, ..session.counts },
            subscriptions: kept,
            readers,
            endings: rare.endings,
            gaps: rare.gaps,
            is_closing: session.is_closing,
            handles: rare.handles,
            commands,
            unsent: session.outbox.map(|outbox| outbox.to_vec()).unwrap_or_default(),
        })
    }

    fn keep_subscriptions(&self, key: ClientKey) -> Vec<Kept> {
        let Some(session) = self.session(key) else { return Vec::new() };
        let remembering = session.rare.as_ref().and_then(|rare| rare.remembering.as_ref());
        let keep = |key: &SubscriptionKey| {
            let subscription = self.index.get(*key)?;
            let rare = session.rare.iter();
            let beginnings = rare.clone().flat_map(|rare| &rare.beginnings);
            let replays = rare.flat_map(|rare| &rare.replays);
            Some(Kept {
                id: subscription.id,
                mode: subscription.mode,
                topics: self.index.topics(subscription),
                except: subscription.except().to_vec(),
                filter: self.index.filter(subscription).cloned(),
                is_restored: remembering.is_some_and(|known| known.is_restored(*key)),
                beginnings: beginnings
                    .filter(|beginning| beginning.subscription == *key)
                    .map(|beginning| (beginning.stream, beginning.after))
                    .collect(),
                replays: replays.filter(|replay| replay.subscription == *key).cloned().collect(),
            })
        };
        session.subscriptions.iter().filter_map(keep).collect()
    }

    fn keep_reader(&self, reader: &Reader) -> Option<(Reader, Epoch)> {
        let stream = self.streams.get(reader.stream.get())?;
        let cursor = reader.position(stream.read);
        let (is_live, due_ms, timer_ms, until) = (false, 0, 0, 0);
        let reader = Reader { cursor, is_live, due_ms, timer_ms, until, ..reader.clone() };
        Some((reader, stream.epoch.clone()))
    }

    /// Puts a client that was taken out of a worker into this one.
    pub fn restore(&mut self, now: Now, snapshot: Snapshot) -> ClientKey {
        self.now = now;
        for (reader, _) in &snapshot.readers {
            self.watch(reader.stream);
        }
        self.generation_last = self.generation_last.wrapping_add(1);
        let Snapshot { groups, device, remembering, endings, gaps, must_authenticate, .. } =
            snapshot;
        let rare = Rare {
            groups,
            device,
            remembering,
            endings,
            gaps,
            must_authenticate,
            ..Rare::default()
        };
        let session = Session {
            generation: self.generation_last,
            rendering: snapshot.rendering,
            is_queued: false,
            is_blocked: false,
            is_closing: snapshot.is_closing,
            is_behind: !snapshot.is_closing,
            readers: SmallVec::new(),
            outbox: None,
            subscriptions: SmallVec::new(),
            subscription_last: snapshot.subscription_last,
            heartbeat_ms: snapshot.heartbeat_ms,
            subscriptions_max: snapshot.subscriptions_max,
            unanswered: 0,
            append_bytes: 0,
            client: snapshot.client,
            user: snapshot.user,
            grants: snapshot.grants,
            conversation: snapshot.conversation,
            counts: snapshot.counts,
            expiry: None,
            rare: Some(Box::new(rare)),
        };
        let key = self.insert_session(session);
        self.dress(key.place, snapshot.look);
        self.set_expiry(key, snapshot.expires_at_ms);
        let mut restored = Vec::new();
        for kept in snapshot.subscriptions {
            let is_restored = kept.is_restored;
            let subscription = self.restore_subscription(key.place, kept);
            restored.extend(subscription.filter(|_| is_restored));
        }
        let rare = self.session_mut(key).and_then(|session| session.rare.as_mut());
        if let Some(remembering) = rare.and_then(|rare| rare.remembering.as_mut()) {
            remembering.rename(restored);
        }
        for (reader, epoch) in snapshot.readers {
            self.restore_reader(key.place, reader, &epoch);
        }
        self.restore_outbox(key.place, &snapshot.unsent);
        if !snapshot.handles.is_empty() {
            let ticket = Ticket { client: key, id: None, bytes: 0 };
            // What it was allowed then, it may not be any more.
            let _ = self.become_handler(ticket, snapshot.handles);
        }
        for command in snapshot.commands {
            self.handle_command(now, key, command);
        }
        key
    }

    fn restore_subscription(&mut self, place: u32, kept: Kept) -> Option<SubscriptionKey> {
        let Kept { id, mode, topics, except, filter, .. } = kept;
        let subscription = self.index.insert(place, id, mode, &topics, except, filter.as_ref());
        let session = self.sessions.get_mut(place as usize)?;
        session.subscriptions.push(subscription);
        let rare = session.rare_mut();
        let beginnings = kept.beginnings.into_iter();
        rare.beginnings.extend(beginnings.map(|(stream, after)| Beginning {
            subscription,
            stream,
            after,
        }));
        rare.replays
            .extend(kept.replays.into_iter().map(|replay| Replay { subscription, ..replay }));
        Some(subscription)
    }

    fn restore_reader(&mut self, place: u32, mut reader: Reader, epoch: &Epoch) {
        let Some(stream) = self.streams.get_mut(reader.stream.get()) else { return };
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        stream.readers += 1;
        if stream.epoch != *epoch {
            reader.is_reset = true;
            let at = reader.stream;
            let rare = session.rare_mut();
            rare.beginnings.retain(|beginning| beginning.stream != at);
            rare.endings.retain(|ending| ending.stream != at);
            rare.gaps.retain(|gap| gap.stream != at);
            for replay in rare.replays.iter_mut().filter(|replay| replay.stream == at) {
                (replay.is_reset, replay.cursor) = (false, replay.until);
            }
        }
        session.readers.push(reader);
    }

    fn restore_outbox(&mut self, place: u32, unsent: &[u8]) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        if !unsent.is_empty() {
            let outbox =
                session.outbox.get_or_insert_with(|| self.outboxes.pop().unwrap_or_default());
            outbox.push_own(|out| out.extend_from_slice(unsent));
        }
        self.queue(place);
    }
}
