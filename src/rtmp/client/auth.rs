//! User and password for servers that ask for them when a client connects: Adobe's and Limelight's ways,
//! which no specification tells. A refusal names the way, the next connection the user, its refusal holds
//! the challenge, and the connection after that the response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::rtmp::url::RtmpUrl;
use crate::wire::limits::RTMP_AUTH_BYTES;

/// What would end a value of a query, or be taken for an escape.
const IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'%').add(b'&').add(b'+').add(b'?');

/// How many requests with one nonce there were: one.
const NONCE_COUNT: &str = "00000001";

/// What the next connection to the server is to say of who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Parameters for app and `tcUrl`.
    query: String,
    /// Whether a challenge is answered with it.
    is_response: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Adobe,
    Limelight,
}

impl Auth {
    /// What answers the description of a refused `connect`, after `said` was said. `None` where it asks for
    /// nothing, for what the URL doesn't have, or for what was said already.
    pub(super) fn answer(
        description: &str,
        url: &RtmpUrl,
        said: Option<&Auth>,
        entropy: u32,
    ) -> Option<Auth> {
        let (user, password) = (url.user.as_deref()?, url.password.as_deref()?);
        if description.len() > RTMP_AUTH_BYTES || said.is_some_and(|auth| auth.is_response) {
            return None;
        }
        let method = match description {
            d if d.contains("authmod=adobe") => Method::Adobe,
            d if d.contains("authmod=llnw") => Method::Limelight,
            _ => return None,
        };
        let name = utf8_percent_encode(user, IN_QUERY);
        let Some((_, challenge)) = description.split_once("?reason=needauth") else {
            // Another reason is that user or password are wrong.
            let asks = description.contains("need auth") && said.is_none();
            return asks.then(|| Auth {
                query: format!("authmod={}&user={name}", method.name()),
                is_response: false,
            });
        };
        let value = |key: &str| {
            let value = challenge.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            value.map(str::trim)
        };
        let own = format!("{entropy:08x}");
        let query = match method {
            Method::Adobe => {
                let salted = md5_base64(&[user, value("salt").unwrap_or_default(), password]);
                let opaque = value("opaque");
                let theirs = opaque.or(value("challenge")).unwrap_or_default();
                let response = md5_base64(&[&salted, theirs, &own]);
                let mut query = format!("authmod=adobe&user={name}&challenge={own}&response={response}");
                if let Some(opaque) = opaque {
                    query.push_str("&opaque=");
                    query.push_str(opaque);
                }
                query
            }
            Method::Limelight => {
                let nonce = value("nonce").unwrap_or_default();
                let instance = if url.app.contains('/') { "" } else { "/_definst_" };
                let who = md5_hex(&[user, ":live:", password]);
                let what = md5_hex(&["publish:/", &url.app, instance]);
                let response = md5_hex(&[&who, ":", nonce, ":", NONCE_COUNT, ":", &own, ":auth:", &what]);
                format!(
                    "authmod=llnw&user={name}&nonce={nonce}&cnonce={own}&nc={NONCE_COUNT}&response={response}"
                )
            }
        };
        Some(Auth { query, is_response: true })
    }

    /// An app or its URL with what is said behind it.
    pub(super) fn append(auth: Option<&Auth>, mut to: String) -> String {
        if let Some(auth) = auth {
            to.push(if to.contains('?') { '&' } else { '?' });
            to.push_str(&auth.query);
        }
        to
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Adobe => "adobe",
            Self::Limelight => "llnw",
        }
    }
}

fn md5_of(parts: &[&str]) -> [u8; 16] {
    let mut context = md5::Context::new();
    for part in parts {
        context.consume(part);
    }
    context.finalize().0
}

fn md5_base64(parts: &[&str]) -> String {
    STANDARD.encode(md5_of(parts))
}

fn md5_hex(parts: &[&str]) -> String {
    format!("{:032x}", u128::from_be_bytes(md5_of(parts)))
}
