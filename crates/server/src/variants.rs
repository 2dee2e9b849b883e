use engine::Rendering;

/// Most looks that the clients of one rendering choose at a time, in one worker: each costs every
/// event once more.
const VARIANTS_MAX: usize = 64;

/// Looks that clients have chosen, each once however many chose it.
#[derive(Default)]
pub(crate) struct Variants {
    known: Vec<Variant>,
    /// Renderings that mean nothing at the moment.
    free: Vec<Rendering>,
}

struct Variant {
    rendering: Rendering,
    /// How events look without the options.
    plain: Rendering,
    options: Box<str>,
    clients: usize,
}

/// What a look that is asked for takes.
pub(crate) enum Wanted {
    /// It is there.
    Known(Rendering),
    /// It is to be made; in the place of one that nobody has any more, where there is one.
    New(Option<Rendering>),
    /// There are as many as there may be.
    TooMany,
}

impl Variants {
    /// One client more wants these options.
    pub(crate) fn want(&mut self, plain: Rendering, options: &str) -> Wanted {
        let mut known = self.known.iter_mut();
        if let Some(variant) = known.find(|one| one.plain == plain && *one.options == *options) {
            variant.clients += 1;
            return Wanted::Known(variant.rendering);
        }
        if self.known.iter().filter(|one| one.plain == plain).count() >= VARIANTS_MAX {
            return Wanted::TooMany;
        }
        Wanted::New(self.free.last().copied())
    }

    /// A look was made for its first client.
    pub(crate) fn add(&mut self, rendering: Rendering, plain: Rendering, options: &str) {
        self.free.retain(|free| *free != rendering);
        self.known.push(Variant { rendering, plain, options: options.into(), clients: 1 });
    }

    /// One client less has a look; whether nobody has it any more.
    pub(crate) fn release(&mut self, rendering: Rendering) -> bool {
        let Some(at) = self.known.iter().position(|one| one.rendering == rendering) else {
            return false;
        };
        if let Some(variant) = self.known.get_mut(at) {
            variant.clients -= 1;
            if variant.clients > 0 {
                return false;
            }
        }
        self.known.swap_remove(at);
        self.free.push(rendering);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_shared_and_its_number_used_again_when_nobody_has_it() {
        let mut variants = Variants::default();
        let plain = Rendering(1);
        assert!(matches!(variants.want(plain, "a"), Wanted::New(None)));
        variants.add(Rendering(7), plain, "a");
        assert!(matches!(variants.want(plain, "a"), Wanted::Known(Rendering(7))));
        assert!(matches!(variants.want(Rendering(2), "a"), Wanted::New(None)));
        assert!(!variants.release(Rendering(7)));
        assert!(variants.release(Rendering(7)));
        assert!(!variants.release(Rendering(7)));
        assert!(matches!(variants.want(plain, "b"), Wanted::New(Some(Rendering(7)))));
        variants.add(Rendering(7), plain, "b");
        assert!(matches!(variants.want(plain, "c"), Wanted::New(None)));
    }

    #[test]
    fn looks_are_bounded() {
        let mut variants = Variants::default();
        for number in 0..VARIANTS_MAX as u16 {
            let options = number.to_string();
            assert!(matches!(variants.want(Rendering(0), &options), Wanted::New(None)));
            variants.add(Rendering(10 + number), Rendering(0), &options);
        }
        assert!(matches!(variants.want(Rendering(0), "more"), Wanted::TooMany));
        assert!(matches!(variants.want(Rendering(0), "3"), Wanted::Known(Rendering(13))));
        assert!(matches!(variants.want(Rendering(1), "more"), Wanted::New(None)));
        assert!(!variants.release(Rendering(13)));
        assert!(variants.release(Rendering(13)));
        assert!(matches!(variants.want(Rendering(0), "more"), Wanted::New(Some(Rendering(13)))));
    }
}
