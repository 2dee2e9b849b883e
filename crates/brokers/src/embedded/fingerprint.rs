use std::hash::Hasher;

use protocol::{Audience, Draft, Payload, Publisher};
use siphasher::sip128::{Hasher128, SipHasher13};

/// 128 bits that stand for a text. Nobody who doesn't know the key can find two texts with the
/// same ones, so no publisher can make an id collide with another publisher's.
pub(crate) type Fingerprint = [u64; 2];

/// The secret key of fingerprints.
#[derive(Clone, Copy)]
pub(crate) struct Key(pub(crate) [u64; 2]);

impl Key {
    /// 64 bits made of the key and a number, which tell nothing of the key.
    pub(crate) fn word(self, number: u64) -> u64 {
        Hash::new(self).text(&number.to_le_bytes()).finish()[0]
    }
}

/// An idempotency id and what was published under it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// Publisher and id.
    pub(crate) id: Fingerprint,
    /// Topic, audience, payload and headers.
    pub(crate) content: Fingerprint,
}

impl Claim {
    /// The claim of a draft that has an id.
    pub(crate) fn of(draft: &Draft, key: Key) -> Option<Self> {
        let id = draft.id.as_ref()?;
        Some(Self { id: id_of(&draft.publisher, id, key), content: content_of(draft, key) })
    }
}

/// What stands for a draft's topic and audience.
pub(crate) fn key_of(draft: &Draft, key: Key) -> Fingerprint {
    let mut hash = Hash::new(key);
    hash.key(draft).finish()
}

// Spelled out part by part, with a tag for each kind and a length before each text: the result
// must stay the same when a type gets another variant, as stores keep it over a restart.

fn id_of(publisher: &Publisher, id: &str, key: Key) -> Fingerprint {
    let mut hash = Hash::new(key);
    match publisher {
        Publisher::Admin => hash.tag(0),
        Publisher::User(user) => hash.tag(1).text(user.as_bytes()),
        Publisher::Client(client) => hash.tag(2).text(&client.0.to_le_bytes()),
    }
    .text(id.as_bytes())
    .finish()
}

fn content_of(draft: &Draft, key: Key) -> Fingerprint {
    let mut hash = Hash::new(key);
    hash.key(draft);
    match &draft.payload {
        Payload::Json(bytes) => hash.tag(0).text(bytes),
        Payload::Binary { content_type, bytes } => {
            hash.tag(1).text(content_type.as_bytes()).text(bytes)
        }
    };
    match &draft.headers {
        None => hash.tag(0),
        Some(headers) => hash.tag(1).text(headers),
    }
    .finish()
}

struct Hash(SipHasher13);

impl Hash {
    fn new(Key([k0, k1]): Key) -> Self {
        Self(SipHasher13::new_with_keys(k0, k1))
    }

    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.write(&[tag]);
        self
    }

    fn text(&mut self, text: &[u8]) -> &mut Self {
        self.0.write(&(text.len() as u64).to_le_bytes());
        self.0.write(text);
        self
    }

    /// Topic and audience.
    fn key(&mut self, draft: &Draft) -> &mut Self {
        self.text(draft.topic.as_str().as_bytes());
        match &draft.audience {
            Audience::Everyone => self.tag(0),
            Audience::User(user) => self.tag(1).text(user.as_bytes()),
            Audience::Group(group) => self.tag(2).text(group.as_bytes()),
            Audience::Client(client) => self.tag(3).text(&client.0.to_le_bytes()),
        }
    }

    fn finish(&self) -> Fingerprint {
        let hash = self.0.finish128();
        [hash.h1, hash.h2]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;
    use protocol::{ClientId, Topic};

    use super::*;

    const KEY: Key = Key([1, 2]);

    fn draft() -> Draft {
        let payload = Payload::Json(Bytes::from_static(b"1"));
        Draft { id: Some("x".into()), ..Draft::new(Topic::parse("a").unwrap(), payload) }
    }

    #[test]
    fn every_part_of_the_content_counts_and_neither_id_nor_publisher_does() {
        let binary = |content_type: &str, bytes: &'static [u8]| Payload::Binary {
            content_type: content_type.into(),
            bytes: Bytes::from_static(bytes),
        };
        let contents = [
            draft(),
            Draft { topic: Topic::parse("b").unwrap(), ..draft() },
            Draft { audience: Audience::User("u".into()), ..draft() },
            Draft { audience: Audience::Group("u".into()), ..draft() },
            Draft { audience: Audience::Client(ClientId(7)), ..draft() },
            Draft { payload: Payload::Json(Bytes::from_static(b"2")), ..draft() },
            Draft { payload: binary("t", b"1"), ..draft() },
            Draft { payload: binary("t1", b""), ..draft() },
            Draft { headers: Some(Bytes::new()), ..draft() },
            Draft { headers: Some(Bytes::from_static(b"{}")), ..draft() },
        ];
        let prints: HashSet<_> = contents.iter().map(|draft| content_of(draft, KEY)).collect();
        assert_eq!(prints.len(), contents.len());

        let other = Draft { id: None, publisher: Publisher::User("u".into()), ..draft() };
        assert_eq!(content_of(&other, KEY), content_of(&draft(), KEY));
    }

    #[test]
    fn ids_belong_to_their_publisher_and_to_the_key() {
        let publishers =
            [Publisher::Admin, Publisher::User("x".into()), Publisher::Client(ClientId(0))];
        let mut prints: HashSet<_> =
            publishers.iter().map(|publisher| id_of(publisher, "x", KEY)).collect();
        prints.insert(id_of(&Publisher::Admin, "y", KEY));
        prints.insert(id_of(&Publisher::Admin, "x", Key([1, 3])));
        assert_eq!(prints.len(), 5);
    }
}
