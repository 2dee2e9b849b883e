use std::sync::Arc;

use protocol::{Error, ErrorCode, Message};

use super::{ClientKey, Worker};
use crate::isolated::isolated;
use crate::render::{Renderer as _, Rendering};
use crate::session::Look;

/// Events may look otherwise to a client that says so.
impl Worker {
    /// The client was answered: its conversation may have come to want another look.
    pub(super) fn look_over(&mut self, key: ClientKey) {
        let Some(session) = self.session(key) else { return };
        let Ok(wanted) = isolated(|| session.conversation.look()) else {
            return self.fail(key.place);
        };
        let look = session.rare.as_ref().and_then(|rare| rare.look.as_ref());
        if wanted == look.map(|look| &look.options) {
            return;
        }
        let wanted = wanted.cloned();
        if !self.dress(key.place, wanted) {
            let message = "too many different looks of events are in use: they come whole";
            let error = Error::new(ErrorCode::Overloaded, message);
            self.counters.errors += 1;
            self.tell(key.place, &Message::Error(error));
        }
    }

    /// From now on events look to a client as it wants them; `false` where they look plain instead.
    pub(super) fn dress(&mut self, place: u32, wanted: Option<Arc<str>>) -> bool {
        self.undress(place);
        let Some(options) = wanted else { return true };
        let Some(session) = self.sessions.get_mut(place as usize) else { return true };
        let plain = session.rendering;
        let varied = self.renderer.vary(plain, &options);
        session.rendering = varied.unwrap_or(plain);
        session.rare_mut().look = Some(Look { options, plain });
        self.index.forget_matches();
        varied.is_some()
    }

    /// Events look to a client as they do to others.
    fn undress(&mut self, place: u32) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        let Some(look) = session.rare.as_mut().and_then(|rare| rare.look.take()) else { return };
        let varied = std::mem::replace(&mut session.rendering, look.plain);
        self.index.forget_matches();
        self.forget_look(varied, look.plain);
    }

    /// A client does not use its look any more.
    pub(super) fn forget_look(&mut self, varied: Rendering, plain: Rendering) {
        if varied == plain || !self.renderer.release(varied) {
            return;
        }
        // What was rendered under that number must not be taken for what it means next.
        for stream in &mut self.streams {
            stream.runs.remove(&varied);
        }
    }
}
