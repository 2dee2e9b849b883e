use engine::StreamIndex;
use futures_util::future::join_all;
use protocol::{Appended, Draft, Error, ErrorCode};
use tokio::sync::oneshot;

use crate::node::Node;

/// Most bytes of an idempotency id.
const ID_BYTES_MAX: usize = 255;

/// Whether a text can be an idempotency id.
///
/// # Errors
/// `bad_request`.
pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(Error::bad_request(format!("id must have 1 to {ID_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Whether data of this content type are JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// Events of one stream, and their places among all that were sent together.
struct Part {
    stream: StreamIndex,
    places: Vec<usize>,
    drafts: Vec<Draft>,
}

/// Appends drafts, each to its stream, and waits for the answers in the order of the drafts.
pub(crate) async fn append(node: &Node, drafts: Vec<Draft>) -> Vec<Answer> {
    let mut results: Vec<Option<Answer>> = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    for (place, draft) in drafts.into_iter().enumerate() {
        match stream_of(node, &draft) {
            Ok(stream) => {
                results.push(None);
                match parts.iter_mut().find(|part| part.stream == stream) {
                    Some(part) => {
                        part.places.push(place);
                        part.drafts.push(draft);
                    }
                    None => parts.push(Part { stream, places: vec![place], drafts: vec![draft] }),
                }
            }
            Err(error) => results.push(Some(Err(error))),
        }
    }
    let answered = join_all(parts.into_iter().map(|part| append_part(node, part))).await;
    for (places, answers) in answered {
        for (place, result) in places.into_iter().zip(answers) {
            if let Some(slot) = results.get_mut(place) {
                *slot = Some(result);
            }
        }
    }
    results.into_iter().map(|result| result.unwrap_or_else(unanswered)).collect()
}

/// Appends one draft to its stream.
///
/// # Errors
/// What the broker says, or what keeps the draft from it.
pub(crate) async fn append_one(node: &Node, draft: Draft) -> Answer {
    append(node, vec![draft]).await.pop().unwrap_or_else(unanswered)
}

/// What is known of an event of which nothing came back.
pub(crate) fn unanswered() -> Answer {
    Err(Error::new(ErrorCode::Internal, "the broker did not answer"))
}

/// What became of one event.
pub(crate) type Answer = Result<Appended, Error>;

/// Appends what goes to one stream, once its consumers and the broker have room.
async fn append_part(
    node: &Node,
    Part { stream, places, drafts }: Part,
) -> (Vec<usize>, Vec<Answer>) {
    let refused = |error: Error| vec![Err(error); places.len()];
    if let Some(gate) = node.gates.of(stream)
        && let Err(error) = gate.wait().await
    {
        let answers = refused(error);
        return (places, answers);
    }
    let bytes = drafts.iter().map(Draft::bytes).sum();
    let _admitted = match node.admission.admit(bytes).await {
        Ok(admitted) => admitted,
        Err(error) => {
            let answers = refused(error);
            return (places, answers);
        }
    };
    let (answer, answered) = oneshot::channel();
    node.metrics.published(drafts.len() as u64);
    node.append(stream, drafts, Box::new(move |appended| drop(answer.send(appended))));
    (places, answered.await.unwrap_or_default())
}

fn stream_of(node: &Node, draft: &Draft) -> Result<StreamIndex, Error> {
    node.check_draft(draft)?;
    if draft.topic.is_system() {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "topics that begin with `$` are the system's",
        ));
    }
    let uncaptured = || Error::new(ErrorCode::InvalidTopic, "no stream captures this topic");
    node.table.stream_of(&draft.topic).ok_or_else(uncaptured)
}
