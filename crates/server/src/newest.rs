use engine::{Locate, Page, Segment, Selector, StreamIndex, Viewer};
use protocol::{ClientId, Error, Event, Pattern};

use crate::asking::asked;
use crate::node::Node;

/// About how much a read brings: few events are wanted.
const PAGE_BYTES: usize = 64 << 10;

/// The newest event of these topics that is for everyone, wherever it is kept.
///
/// # Errors
/// What the broker says.
pub(crate) async fn newest(node: &Node, topics: &[Pattern]) -> Result<Option<Event>, Error> {
    let mut streams: Vec<StreamIndex> =
        topics.iter().flat_map(|topic| node.table.streams_of(topic)).collect();
    streams.sort_unstable();
    streams.dedup();
    let viewer = Viewer { client: ClientId(0), user: None, groups: Vec::new() };
    let (topics, except) = (topics.to_vec(), Vec::new());
    let selector = Selector { topics, except, filter: None, viewer: Some(viewer) };
    let mut newest: Option<Event> = None;
    for stream in streams {
        let found = last(node, stream, &selector, 1).await?.pop();
        newest = newest.into_iter().chain(found).max_by_key(|event| event.time_ms);
    }
    Ok(newest)
}

/// The newest so many events of a topic, the newest last, whomever they are for.
///
/// # Errors
/// What the broker says.
pub(crate) async fn newest_of_all(
    node: &Node,
    topic: &Pattern,
    most: u32,
) -> Result<Vec<Event>, Error> {
    let topics = vec![topic.clone()];
    let selector = Selector { topics, except: Vec::new(), filter: None, viewer: None };
    let mut newest = Vec::new();
    for stream in node.table.streams_of(topic) {
        newest.extend(last(node, stream, &selector, most).await?);
    }
    Ok(newest)
}

/// The newest so many events of a stream.
async fn last(
    node: &Node,
    stream: StreamIndex,
    selector: &Selector,
    most: u32,
) -> Result<Vec<Event>, Error> {
    let located = asked(|answer| {
        node.broker.locate(stream, selector.clone(), Locate::Last(most), answer);
    });
    let (mut after, mut found) = (located.await?.after, Vec::new());
    loop {
        let page: Page = asked(|answer| {
            node.broker.read_selected(stream, after, selector.clone(), PAGE_BYTES, answer);
        })
        .await?;
        let batches = page.segments.iter().filter_map(|segment| match segment {
            Segment::Batch(batch) => Some(batch.after(after)),
            Segment::Hole(_) => None,
        });
        found.extend(batches.flatten().filter(|event| selector.selects(event)).cloned());
        if found.len() >= most as usize || page.scanned_to <= after {
            let more = found.len().saturating_sub(most as usize);
            return Ok(found.split_off(more));
        }
        after = page.scanned_to;
    }
}
