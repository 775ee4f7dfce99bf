//! HTTP/1.1 as a server speaks it (RFC 9110, 9112) and WebSocket (RFC 6455).

pub mod json;
