//! The servers and certificates that tests put around camrill: they answer, refuse, go and come back, and
//! their TLS holds for whom it was signed.

mod support;

use std::process::Command;

use support::backend::{Backend, Reply};
use support::certs::{Authority, Certificate};
use support::clients;
use support::flv;
use support::http::Connection;
use support::nginx::{Nginx, TlsFront};
use support::paths::Came;
use support::process::Process;
use support::{PATIENCE, TempDir};

/// What curl got; what it ended with otherwise.
fn curl(arguments: &[&str]) -> Result<String, i32> {
    let output = Command::new("curl").args(["--silent", "--max-time", "20"]).args(arguments).output();
    let output = output.expect("curl");
    match output.status.code() {
        Some(0) => Ok(String::from_utf8(output.stdout).expect("text")),
        code => Err(code.expect("an exit status")),
    }
}

#[test]
fn a_backend_keeps_requests_and_answers_them() {
    let backend = Backend::start(|request| match request.target.as_str() {
        "/forward" => Reply::json(format!("{{\"code\":{}}}", request.body.len())),
        _ => Reply::status(403),
    });
    // Two on one connection.
    let mut connection = Connection::open(backend.address());
    assert_eq!(connection.get("/other?a=b").status, 403);
    let answer = connection.get("/forward");
    assert_eq!((answer.status, answer.text().as_str()), (200, "{\"code\":0}"));
    let posted = curl(&["--data", "{\"action\":1}", &backend.url("/forward")]);
    assert_eq!(posted, Ok("{\"code\":12}".into()));
    let request = backend.wait(2, "/forward");
    assert_eq!((request.method.as_str(), request.text().as_str()), ("POST", "{\"action\":1}"));
    assert_eq!(request.header("content-length"), Some("12"));
    let targets: Vec<String> = backend.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/other?a=b", "/forward", "/forward"]);
}

#[test]
fn certificates_hold_for_whom_they_were_signed() {
    /// What curl says of a certificate that it doesn't take.
    const REFUSED: Result<String, i32> = Err(60);
    let backend = Backend::start(|_| Reply::json("{}"));
    let (authority, stranger) = (Authority::new(), Authority::new());
    let get = |certificate: &Certificate, name: &str, trusted: &Authority| {
        let front = TlsFront::start(certificate, backend.address());
        let port = front.address().port();
        let resolve = format!("{name}:{port}:127.0.0.1");
        let file = trusted.file().to_str().expect("a path of text");
        curl(&["--cacert", file, "--resolve", &resolve, &format!("https://{name}:{port}/")])
    };
    let both = authority.sign(&["camera.test", "127.0.0.1"]);
    assert_eq!(get(&both, "camera.test", &authority), Ok("{}".into()));
    assert_eq!(get(&both, "127.0.0.1", &authority), Ok("{}".into()));
    assert_eq!(get(&both, "other.test", &authority), REFUSED);
    assert_eq!(get(&both, "camera.test", &stranger), REFUSED);
    let expired = authority.sign_expired(&["camera.test"]);
    assert_eq!(get(&expired, "camera.test", &authority), REFUSED);
    assert_eq!(backend.requests().len(), 2);
}

/// A stream goes in by RTMPS and comes out by RTMPS, verified by who plays it.
#[test]
fn rtmps_through_nginx_is_the_same_stream() {
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 4);
    let authority = Authority::new();
    let nginx = Nginx::start("");
    let front = TlsFront::start(&authority.sign(&["127.0.0.1"]), nginx.address());
    let url = format!("rtmps://{}/live/test", front.address());
    let copy = dir.join("played.flv");
    let mut player = clients::ffmpeg();
    player.arg("-ca_file").arg(authority.file()).args(["-tls_verify", "1", "-copyts", "-i", &url]);
    player.args(["-map", "0", "-c", "copy", "-t", "2"]).arg(&copy);
    let mut player = Process::start(&mut player);
    nginx.wait_play("test", 1);
    let _publisher = clients::publish_live(&file, &url);
    nginx.wait_publish("test", 1);
    assert!(player.wait_end(PATIENCE).expect("a player that ends").success());
    let came = Came::compare(flv::read(&copy), &file);
    assert!(came.count > 45, "{} pictures", came.count);
}

#[test]
fn nginx_refuses_what_a_backend_refuses() {
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 2);
    let backend = Backend::start(|request| {
        let is_taken = request.text().contains("name=good&");
        Reply::status(if is_taken { 200 } else { 403 })
    });
    let nginx = Nginx::start(&format!("on_publish {};", backend.url("/publish")));
    clients::publish(clients::ffmpeg(), &file, &nginx.url("good")).finish();
    assert_eq!(backend.wait(1, "/publish").method, "POST");
    let mut refused = clients::publish(clients::ffmpeg(), &file, &nginx.url("bad"));
    let status = refused.wait_end(PATIENCE).expect("a publisher that ends");
    assert!(!status.success(), "what was refused was published");
    assert!(backend.wait(2, "/publish").text().contains("name=bad&"));
}

#[test]
fn nginx_goes_and_comes_back_at_its_port() {
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 2);
    let mut nginx = Nginx::start("");
    let url = nginx.url("test");
    nginx.stop();
    let mut lost = clients::publish(clients::ffmpeg(), &file, &url);
    assert!(!lost.wait_end(PATIENCE).expect("a publisher that ends").success());
    for _ in 0..2 {
        nginx.start_again();
        clients::publish(clients::ffmpeg(), &file, &url).finish();
        nginx.wait_publish("test", 1);
        nginx.stop();
    }
}
