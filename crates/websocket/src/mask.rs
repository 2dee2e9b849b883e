//! Masking (RFC 6455 section 5.3).

/// A frame's masking key.
///
/// A client takes a fresh, unpredictable one for each frame (section 10.3); the masking only
/// keeps scripts from choosing the bytes on the wire and hides nothing.
pub type MaskKey = [u8; 4];

/// Masks or unmasks in place: the two are the same.
///
/// Works on eight bytes at a time, which compilers turn into vector instructions; the slice may
/// begin at any address.
pub fn apply_mask(bytes: &mut [u8], key: MaskKey) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The key for what follows `bytes` bytes of payload, when a frame is masked in pieces.
#[must_use]
pub(crate) fn advance_key(key: MaskKey, bytes: usize) -> MaskKey {
    let mut key = key;
    key.rotate_left(bytes % 4);
    key
}

/// Hands out unpredictable masking keys from any source of randomness, a pool at a time, so that
/// a system call is paid once per 64 frames.
///
/// ```
/// let mut keys = websocket::MaskKeys::new(|pool: &mut [u8]| pool.fill(7));
/// assert_eq!(keys.next(), [7; 4]);
/// ```
#[derive(Debug)]
pub struct MaskKeys<F> {
    fill: F,
    pool: [MaskKey; 64],
    used: usize,
}

impl<F: FnMut(&mut [u8])> MaskKeys<F> {
    /// `fill` must overwrite all of the slice with random bytes that a peer cannot predict.
    pub fn new(fill: F) -> Self {
        Self { fill, pool: [[0; 4]; 64], used: 64 }
    }

    /// The next frame's key.
    #[expect(clippy::should_implement_trait, reason = "endless, and always by name")]
    pub fn next(&mut self) -> MaskKey {
        if let Some(key) = self.pool.get(self.used) {
            self.used += 1;
            return *key;
        }
        (self.fill)(self.pool.as_flattened_mut());
        self.used = 1;
        let [first, ..] = self.pool;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_as_the_rfc_defines() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..70 {
            let plain: Vec<u8> = (0..len).collect();
            let mut masked = plain.clone();
            apply_mask(&mut masked, key);
            for (i, (plain, masked)) in plain.iter().zip(&masked).enumerate() {
                assert_eq!(*masked, plain ^ key[i % 4]);
            }
        }
    }

    #[test]
    fn a_frame_can_be_masked_in_pieces() {
        let key = [1, 2, 3, 4];
        let mut whole: Vec<u8> = (0..100).collect();
        let mut pieces = whole.clone();
        apply_mask(&mut whole, key);
        for split in 0..100 {
            let mut again = pieces.clone();
            let (head, tail) = again.split_at_mut(split);
            apply_mask(head, key);
            apply_mask(tail, advance_key(key, split));
            assert_eq!(again, whole);
        }
        apply_mask(&mut pieces, key);
        apply_mask(&mut pieces, key);
        assert_eq!(pieces, (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn keys_come_from_the_pool_until_it_is_used_up() {
        let mut fills = 0u8;
        let mut keys = MaskKeys::new(|pool| {
            fills += 1;
            pool.fill(fills);
        });
        assert!((0..64).all(|_| keys.next() == [1; 4]));
        assert_eq!(keys.next(), [2; 4]);
    }
}
