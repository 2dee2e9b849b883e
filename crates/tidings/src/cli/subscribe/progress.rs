use client::{Event, Gap, Item, Position};

/// How far a subscription has come in each of its streams: where a new connection goes on.
#[derive(Debug, Default)]
pub(super) struct Progress(Vec<Position>);

impl Progress {
    /// The subscription began there.
    pub(super) fn begin(&mut self, positions: &[Position]) {
        for position in positions {
            self.put(position.clone());
        }
    }

    /// An item came.
    pub(super) fn note(&mut self, item: &Item) {
        match item {
            Item::Event(event) => self.event(event),
            Item::Gap(gap) => self.gap(gap),
            // What comes apart from the live order says nothing about where that is.
            _ => {}
        }
    }

    fn event(&mut self, event: &Event) {
        if let Some(position) = event.position() {
            return self.put(position);
        }
        if let Some(known) = self.of_stream(event.stream.as_str()) {
            known.seq = event.seq;
        }
    }

    fn gap(&mut self, gap: &Gap) {
        let Gap { stream, epoch, to, .. } = gap.clone();
        let known = self.of_stream(stream.as_str()).map(|known| known.clone());
        let is_behind = known.is_some_and(|known| known.epoch == epoch && known.seq >= to);
        if !is_behind {
            self.put(Position { stream, epoch, seq: to });
        }
    }

    fn put(&mut self, position: Position) {
        match self.of_stream(position.stream.as_str()) {
            Some(known) => *known = position,
            None => self.0.push(position),
        }
    }

    fn of_stream(&mut self, stream: &str) -> Option<&mut Position> {
        self.0.iter_mut().find(|known| known.stream.as_str() == stream)
    }

    /// A position for each stream.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use client::GapReason;

    use super::*;

    #[test]
    fn gaps_move_it_on_and_never_back() {
        let position = |text: &str| Position::parse(text).unwrap();
        let gap = |text: &str, reason| {
            let Position { stream, epoch, seq } = position(text);
            Item::Gap(Gap { stream, epoch, from: 1, to: seq, reason })
        };
        let mut progress = Progress::default();
        progress.begin(&[position("a:e:5"), position("b:e:1")]);
        progress.note(&gap("a:e:4", GapReason::Retention));
        assert_eq!(progress.positions(), [position("a:e:5"), position("b:e:1")]);
        progress.note(&gap("a:e:9", GapReason::Retention));
        progress.note(&gap("b:f:0", GapReason::Epoch));
        assert_eq!(progress.positions(), [position("a:e:9"), position("b:f:0")]);
    }
}
