//! What lets pages of other origins read answers (Fetch standard, "CORS protocol").

use super::{Headers, Method, Request, Response};

const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
/// What a preflight that names none may send.
const REQUEST_HEADERS: &str = "Origin, Range, Accept, Accept-Encoding, Content-Type, Authorization, Referer, \
Cache-Control, If-Modified-Since, If-None-Match, X-Requested-With";
const EXPOSED: &str = "Server, Date, Content-Length, Content-Range, Accept-Ranges, ETag, Location";
/// How long a preflight holds, in seconds: what Chromium takes at most.
const MAX_AGE: &str = "7200";

/// Adds what an answer to this request needs. Credentials are never allowed, so that any origin may be.
pub fn write(request: &Request, headers: &mut Headers) {
    match request.header("Origin") {
        Some(origin) if !origin.is_empty() => {
            headers.push("Access-Control-Allow-Origin", origin);
            // The answer is not another origin's, for a cache.
            headers.push("Vary", "Origin");
        }
        _ => headers.push("Access-Control-Allow-Origin", "*"),
    }
    headers.push("Access-Control-Expose-Headers", EXPOSED);
}

/// The answer to an OPTIONS request, preflight or not; `None` for other methods.
pub fn preflight(request: &Request) -> Option<Response> {
    if request.method != Method::Options {
        return None;
    }
    let mut response = Response::new(204);
    let headers = &mut response.headers;
    headers.push("Allow", METHODS);
    write(request, headers);
    headers.push("Access-Control-Allow-Methods", METHODS);
    let asked = request.header("Access-Control-Request-Headers").filter(|asked| !asked.is_empty());
    headers.push("Access-Control-Allow-Headers", asked.unwrap_or(REQUEST_HEADERS));
    headers.push("Access-Control-Max-Age", MAX_AGE);
    // A page of the public Internet that asks a device in a home (Private Network Access).
    if request.headers.has_token("Access-Control-Request-Private-Network", "true") {
        headers.push("Access-Control-Allow-Private-Network", "true");
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Body;

    fn request(method: Method, fields: &[(&str, &str)]) -> Request {
        let mut request = Request { method, ..Request::default() };
        for (name, value) in fields {
            request.headers.push(name, value);
        }
        request
    }

    #[test]
    fn any_origin_may_read() {
        let mut headers = Headers::new();
        write(&request(Method::Get, &[("origin", "http://a.b:8080")]), &mut headers);
        assert_eq!(headers.get("Access-Control-Allow-Origin"), Some("http://a.b:8080"));
        assert_eq!(headers.get("Vary"), Some("Origin"));
        assert!(headers.has_token("Access-Control-Expose-Headers", "Content-Range"));
        assert_eq!(headers.get("Access-Control-Allow-Credentials"), None);

        let mut headers = Headers::new();
        write(&request(Method::Get, &[]), &mut headers);
        assert_eq!(headers.get("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(headers.get("Vary"), None);
    }

    #[test]
    fn a_preflight_gets_what_it_asks() {
        assert!(preflight(&request(Method::Get, &[("Origin", "http://a")])).is_none());
        let asked = [
            ("Origin", "null"),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Headers", "x-token, range"),
            ("Access-Control-Request-Private-Network", "true"),
        ];
        let response = preflight(&request(Method::Options, &asked)).unwrap();
        assert_eq!((response.status, &response.body), (204, &Body::None));
        let field = |name| response.headers.get(name);
        assert_eq!(field("Access-Control-Allow-Origin"), Some("null"));
        assert!(response.headers.has_token("Access-Control-Allow-Methods", "PUT"));
        assert_eq!(field("Access-Control-Allow-Headers"), Some("x-token, range"));
        assert_eq!(field("Access-Control-Max-Age"), Some("7200"));
        assert_eq!(field("Access-Control-Allow-Private-Network"), Some("true"));

        let plain = preflight(&request(Method::Options, &[])).unwrap();
        assert!(plain.headers.has_token("Access-Control-Allow-Headers", "range"));
        assert_eq!(plain.headers.get("Access-Control-Allow-Private-Network"), None);
    }
}
