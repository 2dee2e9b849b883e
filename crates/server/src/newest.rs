use engine::{Locate, Page, Segment, Selector, StreamIndex, Viewer};
use protocol::{ClientId, Error, Event, Pattern};

use crate::asking::asked;
use crate::node::Node;

/// About how much a read brings: one event is wanted.
const PAGE_BYTES: usize = 64 << 10;

/// The newest event of these topics that is for everyone, wherever it is kept.
///
/// # Errors
/// What the broker says.
pub(crate) async fn newest(node: &Node, topics: &[Pattern]) -> Result<Option<Event>, Error> {
    let viewer = Viewer { client: ClientId(0), user: None, groups: Vec::new() };
    newest_of(node, topics, Some(viewer)).await
}

/// The newest event of these topics, whomever it is for.
///
/// # Errors
/// What the broker says.
pub(crate) async fn newest_of_all(node: &Node, topics: &[Pattern]) -> Result<Option<Event>, Error> {
    newest_of(node, topics, None).await
}

async fn newest_of(
    node: &Node,
    topics: &[Pattern],
    viewer: Option<Viewer>,
) -> Result<Option<Event>, Error> {
    let mut streams: Vec<StreamIndex> =
        topics.iter().flat_map(|topic| node.table.streams_of(topic)).collect();
    streams.sort_unstable();
    streams.dedup();
    let selector = Selector { topics: topics.to_vec(), except: Vec::new(), filter: None, viewer };
    let mut newest: Option<Event> = None;
    for stream in streams {
        let found = last(node, stream, &selector).await?;
        newest = newest.into_iter().chain(found).max_by_key(|event| event.time_ms);
    }
    Ok(newest)
}

async fn last(
    node: &Node,
    stream: StreamIndex,
    selector: &Selector,
) -> Result<Option<Event>, Error> {
    let located = asked(|answer| {
        node.broker.locate(stream, selector.clone(), Locate::Last(1), answer);
    });
    let mut after = located.await?.after;
    loop {
        let page: Page = asked(|answer| {
            node.broker.read_selected(stream, after, selector.clone(), PAGE_BYTES, answer);
        })
        .await?;
        let batches = page.segments.iter().filter_map(|segment| match segment {
            Segment::Batch(batch) => Some(batch.after(after)),
            Segment::Hole(_) => None,
        });
        let found = batches.flatten().filter(|event| selector.selects(event)).last();
        if found.is_some() || page.scanned_to <= after {
            return Ok(found.cloned());
        }
        after = page.scanned_to;
    }
}
