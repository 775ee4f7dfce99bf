//! Links that tests make: as narrow as they were made, and cut when they are told to be.

mod support;

use std::time::Duration;

use support::TempDir;
use support::clients::{self, Kind, Player};
use support::flv::{self, Tag, VIDEO};
use support::netns::Link;
use support::nginx::Nginx;
use support::paths::Came;
use support::server::Server;

/// Fetches the file from the far end at the near end; answers how fast it came, in bytes per second, or what
/// curl ended with.
fn fetch(link: &Link, server: &Server, patience: &str) -> Result<f64, i32> {
    let mut curl = link.near().command("curl");
    curl.args(["--silent", "--fail", "--connect-timeout", patience, "--output", "/dev/null"]);
    curl.args(["--write-out", "%{speed_download}", &format!("http://{}/noise", server.http())]);
    let output = curl.output().expect("curl");
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).parse().expect("a rate")),
        code => Err(code.expect("an exit status")),
    }
}

#[test]
fn a_link_is_as_narrow_as_it_was_made_and_can_be_cut() {
    if !Link::available() {
        return;
    }
    let dir = TempDir::new();
    std::fs::write(dir.join("noise"), vec![0x5A; 500_000]).expect("a file");
    let mut link = Link::new(4_000);
    let ip = link.far().ip();
    let http = format!("http_server {{ enabled on; listen {ip}:0; dir {}; }}", dir.join("").display());
    let server = Server::start_in(link.far(), &http, "");
    for rate_kbit in [4_000, 8_000] {
        link.rate(rate_kbit);
        let rate = fetch(&link, &server, "20").expect("the file");
        let expected = f64::from(rate_kbit) * 125.0;
        assert!((rate / expected - 1.0).abs() <= 0.2, "{rate} bytes/s at {rate_kbit} kbit/s");
    }
    link.down();
    assert_eq!(fetch(&link, &server, "0.3"), Err(28), "nobody answers");
    link.up();
    assert!(fetch(&link, &server, "20").is_ok());
}

#[test]
fn a_stream_outlives_an_outage_of_its_link() {
    if !Link::available() {
        return;
    }
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 10);
    let mut link = Link::new(20_000);
    let nginx = Nginx::start_in(link.far(), "");
    let player = Player::start_in(link.far(), Kind::Rtmpdump, &nginx.url("test"));
    nginx.wait_play("test", 1);
    let mut publisher = clients::publish_live_in(link.near(), &file, &nginx.url("test"));
    let pictures = |tags: &[Tag]| flv::track(tags, VIDEO).len();
    player.wait("pictures", |tags| pictures(tags) > 10);
    link.down();
    let while_down = pictures(&player.wait("what is there", |_| true));
    std::thread::sleep(Duration::from_millis(500));
    let later = pictures(&player.wait("what is there", |_| true));
    assert!(later <= while_down + 1, "{while_down} pictures, then {later}");
    link.up();
    let tags = player.wait("more pictures", |tags| pictures(tags) > later + 25);
    assert!(publisher.is_running(), "nobody was told of the outage");
    assert_eq!(Came::compare(tags, &file).missed, 0);
}
