macro_rules! close_reasons {
    ($($variant:ident $code:literal $reconnect:literal $text:literal;)*) => {
        /// Why a connection ends: RFC 6455 section 7.4.1 below 4000, our own above.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CloseReason { $(#[doc = $text] $variant,)* }

        impl CloseReason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The WebSocket close code.
            pub fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)* }
            }

            /// Whether the client should connect again by itself.
            pub fn should_reconnect(self) -> bool {
                match self { $(Self::$variant => $reconnect,)* }
            }

            /// The text on the wire; at most 123 bytes.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

close_reasons! {
    Normal 1000 false "done";
    GoingAway 1001 true "going away";
    ProtocolError 1002 false "the frame breaks RFC 6455";
    Unsupported 1003 false "this kind of message is not supported";
    InvalidText 1007 false "the text is not valid UTF-8";
    Policy 1008 false "a policy was violated";
    TooLarge 1009 false "the message is too large";
    Internal 1011 true "the server made a mistake";
    Draining 1012 true "the server is restarting";
    MalformedHello 4400 false "the hello is malformed";
    Unauthorized 4401 false "unauthorized, or the token expired";
    Forbidden 4403 false "closed by an operator";
    HeartbeatMissed 4408 true "no answer to heartbeats";
    TakenOver 4409 false "taken over by a newer connection";
    Limits 4429 true "a limit was exceeded; come back later";
}
