//! What a connection speaks: one enum over the protocols' sessions.

use bytes::Bytes;

use crate::rtmp::client;
use crate::rtmp::server::{Event, Output, Session as Rtmp};
use crate::rtmp::url::StreamName;
use crate::time::Time;

#[cfg(feature = "http")]
use super::web::Web;

/// A connection's session.
#[derive(Debug)]
pub(super) enum Session {
    Rtmp(Box<Rtmp>),
    #[cfg(feature = "http")]
    Http(Box<Web>),
    /// We are the client.
    RtmpClient(Box<client::Session>),
    #[cfg(feature = "http")]
    HttpClient(Box<crate::http::client::Session>),
}

/// What a session says next.
#[derive(Debug)]
pub(super) enum Said {
    /// Bytes to send.
    Transmit(Bytes),
    /// What an RTMP client wants or brings.
    Rtmp(Event),
    /// What an RTMP server says or brings.
    Client(client::Event),
    /// What an HTTP server answers.
    #[cfg(feature = "http")]
    Answer(Answer),
    /// A request to answer.
    #[cfg(feature = "http")]
    Request(Box<crate::http::Request>),
    /// Close when everything is sent.
    Close,
    /// No more now; look again at this time.
    Timeout(Option<Time>),
}

/// What an HTTP server answers, piece by piece.
#[cfg(feature = "http")]
#[derive(Debug)]
pub(super) enum Answer {
    Head(Box<crate::http::client::ResponseHead>),
    Body(Bytes),
    End,
}

impl Session {
    /// Takes what it can of the input.
    pub(super) fn handle_input(&mut self, now: Time, input: &mut &[u8]) -> Result<(), String> {
        match self {
            Self::Rtmp(session) => session.handle_input(now, input).map_err(|e| e.to_string()),
            #[cfg(feature = "http")]
            Self::Http(web) => web.session.handle_input(now, input).map_err(|e| e.to_string()),
            Self::RtmpClient(session) => session.handle_input(now, input).map_err(|e| e.to_string()),
            #[cfg(feature = "http")]
            Self::HttpClient(session) => session.handle_input(now, input).map_err(|e| e.to_string()),
        }
    }

    /// The peer will send no more. Why that is a failure, if it is.
    pub(super) fn handle_end(&mut self) -> Result<(), String> {
        match self {
            #[cfg(feature = "http")]
            Self::HttpClient(session) => session.handle_end().map_err(|e| e.to_string()),
            _ => Err("closed by the peer".to_owned()),
        }
    }

    /// Its deadline has come, or another.
    pub(super) fn handle_timeout(&mut self, now: Time) -> Result<(), String> {
        match self {
            Self::Rtmp(session) => session.handle_timeout(now).map_err(|e| e.to_string()),
            #[cfg(feature = "http")]
            Self::Http(web) => web.session.handle_timeout(now).map_err(|e| e.to_string()),
            Self::RtmpClient(session) => session.handle_timeout(now).map_err(|e| e.to_string()),
            #[cfg(feature = "http")]
            Self::HttpClient(session) => session.handle_timeout(now).map_err(|e| e.to_string()),
        }
    }

    /// What it has to say.
    pub(super) fn poll_output(&mut self) -> Said {
        match self {
            Self::Rtmp(session) => match session.poll_output() {
                Output::Transmit(bytes) => Said::Transmit(bytes),
                Output::Event(event) => Said::Rtmp(event),
                Output::Close => Said::Close,
                Output::Timeout(at) => Said::Timeout(at),
            },
            #[cfg(feature = "http")]
            Self::Http(web) => web.poll_output(),
            Self::RtmpClient(session) => match session.poll_output() {
                client::Output::Transmit(bytes) => Said::Transmit(bytes),
                client::Output::Event(event) => Said::Client(event),
                client::Output::Close => Said::Close,
                client::Output::Timeout(at) => Said::Timeout(at),
            },
            #[cfg(feature = "http")]
            Self::HttpClient(session) => {
                use crate::http::client::Output;

                match session.poll_output() {
                    Output::Transmit(bytes) => Said::Transmit(bytes),
                    Output::Head(head) => Said::Answer(Answer::Head(head)),
                    Output::Body(bytes) => Said::Answer(Answer::Body(bytes)),
                    Output::End => Said::Answer(Answer::End),
                    Output::Close => Said::Close,
                    Output::Timeout(at) => Said::Timeout(at),
                }
            }
        }
    }

    /// Its deadline.
    pub(super) fn timeout(&self) -> Option<Time> {
        match self {
            Self::Rtmp(session) => session.timeout(),
            #[cfg(feature = "http")]
            Self::Http(web) => web.timeout(),
            Self::RtmpClient(session) => session.timeout(),
            #[cfg(feature = "http")]
            Self::HttpClient(session) => session.timeout(),
        }
    }

    /// Whether we are the client.
    pub(super) fn is_outgoing(&self) -> bool {
        match self {
            Self::RtmpClient(_) => true,
            #[cfg(feature = "http")]
            Self::HttpClient(_) => true,
            _ => false,
        }
    }

    /// Whether it takes no input until it has been answered.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Rtmp(session) => session.is_waiting(),
            #[cfg(feature = "http")]
            Self::Http(web) => web.session.is_waiting(),
            _ => false,
        }
    }

    /// Whether it has more to say of the input that it has taken.
    pub(super) fn has_more(&self) -> bool {
        match self {
            Self::Rtmp(session) => session.has_more(),
            Self::RtmpClient(session) => session.has_more(),
            #[cfg(feature = "http")]
            _ => false,
        }
    }

    /// Bytes received.
    pub(super) fn received(&self) -> u64 {
        match self {
            Self::Rtmp(session) => session.received(),
            #[cfg(feature = "http")]
            Self::Http(web) => web.session.received(),
            Self::RtmpClient(session) => session.received(),
            #[cfg(feature = "http")]
            Self::HttpClient(session) => session.received(),
        }
    }

    /// Whether the client may still want what is on its way when it says no more: the end of its input is
    /// not the end of the connection.
    pub(super) fn outlives_input(&self) -> bool {
        match self {
            #[cfg(feature = "http")]
            Self::Http(web) => !web.is_endless(),
            _ => false,
        }
    }

    /// Whether there is more of an answer to be fetched when the socket takes it.
    #[cfg(feature = "http")]
    pub(super) fn has_source(&self) -> bool {
        matches!(self, Self::Http(web) if web.has_source())
    }

    /// Why it is closed when it has asked for that itself.
    pub(super) fn last_words(&self) -> &'static str {
        match self {
            Self::Rtmp(_) => "refused",
            _ => "done",
        }
    }

    /// The URL that the client connected to, and the page that its player stands on.
    pub(super) fn urls(&self) -> (String, String) {
        match self {
            Self::Rtmp(session) => {
                session.client().map(|c| (c.tc_url.clone(), c.page_url.clone())).unwrap_or_default()
            }
            #[cfg(feature = "http")]
            Self::Http(web) => web.urls(),
            _ => Default::default(),
        }
    }

    /// Where it has connected to, with the stream where it asked for one over HTTP.
    pub(super) fn name(&self) -> StreamName {
        match self {
            Self::Rtmp(session) => session.client().map(|c| c.name.clone()).unwrap_or_default(),
            #[cfg(feature = "http")]
            Self::Http(web) => web.name(),
            _ => StreamName::default(),
        }
    }

    /// What the server has refused us with, if it has.
    pub(super) fn refusal(&self) -> Option<&str> {
        match self {
            Self::RtmpClient(session) => session.refusal(),
            _ => None,
        }
    }

    /// The RTMP session, where it is one.
    pub(super) fn rtmp(&mut self) -> Option<&mut Rtmp> {
        match self {
            Self::Rtmp(session) => Some(session),
            _ => None,
        }
    }

    /// The HTTP session and what goes with it, where it is one.
    #[cfg(feature = "http")]
    pub(super) fn web(&mut self) -> Option<&mut Web> {
        match self {
            Self::Http(web) => Some(web),
            _ => None,
        }
    }
}
