use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A part of the host. Where it cannot be opened, or breaks, it is left out, and the others go on.
pub(super) struct Part<P> {
    name: &'static str,
    probe: Option<P>,
}

impl<P> Part<P> {
    /// Takes what was opened. That a part is absent is normal, and said only for who debugs.
    pub(super) fn open(name: &'static str, opened: Result<P, impl Display>) -> Self {
        let said = |error: &_| tracing::debug!(part = name, %error, "no figures of this part");
        Self { name, probe: opened.inspect_err(said).ok() }
    }

    /// Reads it, if it is there and works.
    pub(super) fn read<T>(&mut self, read: impl FnOnce(&mut P) -> Option<T>) -> Option<T> {
        let probe = self.probe.as_mut()?;
        // Nothing looks at the probe after it broke.
        if let Ok(figures) = catch_unwind(AssertUnwindSafe(|| read(probe))) {
            return figures;
        }
        tracing::error!(part = self.name, "reading this part of the host failed; it is left out");
        self.probe = None;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_breaks_is_left_out_for_good() {
        let mut part = Part::open("test", Ok::<_, String>(0));
        let next = |count: &mut u32| {
            *count += 1;
            assert!(*count < 3, "the third reading breaks");
            Some(*count)
        };
        let read: Vec<_> = (0..4).map(|_| part.read(next)).collect();
        assert_eq!(read, [Some(1), Some(2), None, None]);
    }

    #[test]
    fn an_absent_part_has_no_figures() {
        let mut part = Part::<u32>::open("test", Err("absent"));
        assert_eq!(part.read(|count| Some(*count)), None);
    }
}
