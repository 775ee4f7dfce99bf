//! What a peer asks for, parsed.

use crate::amf::Value;
use crate::rtmp::url::StreamName;

/// The property of `connect` that says which servers a stream has come by.
pub const VIA: &str = "camrillVia";

/// The `connect` command (RTMP 1.0, 7.2.1.1).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConnectRequest {
    /// The application as sent, with its parameters.
    pub app: String,
    /// The URL as sent.
    pub tc_url: String,
    /// The page that the player stands on, for referer rules.
    pub page_url: String,
    /// The client's name and version.
    pub flash_ver: String,
    /// 0 or 3: the AMF version that the client speaks.
    pub object_encoding: f64,
    /// Whether the client speaks Enhanced RTMP.
    pub enhanced: bool,
    /// The servers that its stream has come by, or is wanted through (`camrillVia`), as sent; empty where it
    /// is no server of our kind.
    pub via: String,
    /// Where `app` and `tc_url` lead; its stream is empty.
    pub name: StreamName,
}

impl ConnectRequest {
    /// From the command object; the name is resolved by the caller.
    pub(super) fn from_object(object: Option<&Value>) -> Self {
        let text = |name: &str| {
            object.and_then(|o| o.property(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Self {
            app: text("app"),
            tc_url: text("tcUrl"),
            page_url: text("pageUrl"),
            flash_ver: text("flashVer"),
            object_encoding: object
                .and_then(|o| o.property("objectEncoding"))
                .and_then(Value::as_f64)
                .unwrap_or_default(),
            enhanced: object.is_some_and(|o| {
                o.property("fourCcList").is_some() || o.property("videoFourCcInfoMap").is_some()
            }),
            via: text(VIA),
            name: StreamName::default(),
        }
    }
}

/// A `publish` or `play` command (RTMP 1.0, 7.2.2.6 and 7.2.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRequest {
    /// The message stream that it stands on.
    pub stream: u32,
    /// The stream that is asked for.
    pub name: StreamName,
}
