//! What a configuration means, in types: checked once here, and never asked again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::block::Block;
use super::cluster::Cluster;
use super::forward::Forward;
use super::ingest::{self, Ingest};
use super::outputs::{Dvr, Hls, HttpServer, Remux};
use super::table::DEFAULT_VHOST;
use super::tls::{TlsClient, TlsServer};
use super::tree::{Node, Source};
use super::{Config, Warning};
use crate::error::Result;

/// How long frames are gathered where `min_latency` is off and `mw_latency` is not given.
const SRS_MW_LATENCY: Duration = Duration::from_millis(350);
/// How many frames are gathered where `min_latency` is off and `mw_msgs` is not given.
const SRS_MW_MSGS: usize = 8;

/// What the engine runs by.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where RTMP is served. Empty where the configuration has no `listen`: a host that only publishes and
    /// plays by itself needs no port.
    pub listen: Vec<SocketAddr>,
    /// The RTMP chunk size before a vhost is known, in bytes.
    pub chunk_size: u32,
    /// Connections held at a time.
    pub max_connections: usize,
    /// How long a connection may take from accept to its play or publish command.
    pub handshake_timeout: Duration,
    /// RTMP behind TLS, where it is turned on.
    pub rtmps: Option<TlsServer>,
    /// How outgoing connections are made secure.
    pub tls: TlsClient,
    /// The web server, where it is turned on.
    pub http_server: Option<HttpServer>,
    /// The HTTP API, where it is turned on; without folder and page.
    pub http_api: Option<HttpServer>,
    /// Whether dates in file names are in UTC.
    pub utc_time: bool,
    /// The folder for the logs of the programs that the host runs, if they are to be kept.
    pub ff_log_dir: Option<String>,
    /// The vhosts by name, those that are turned off too. Where none is configured there is
    /// [`DEFAULT_VHOST`], with every default.
    pub vhosts: BTreeMap<String, Arc<Vhost>>,
}

/// A virtual host.
#[derive(Debug, Clone, PartialEq)]
pub struct Vhost {
    /// Its name.
    pub name: String,
    /// Whether it is served.
    pub enabled: bool,
    /// The RTMP chunk size, in bytes.
    pub chunk_size: u32,
    /// Whether small packets are sent at once.
    pub tcp_nodelay: bool,
    /// Whether frames are sent as they come, unless `mw_latency` or `mw_msgs` say otherwise; when off,
    /// they are gathered as SRS does.
    pub min_latency: bool,
    /// Bytes after which we acknowledge what a peer sends; 0: as the peer asks.
    pub in_ack_size: u32,
    /// Bytes after which a peer is asked to acknowledge; 0 to ask nothing.
    pub out_ack_size: u32,
    /// How streams are played.
    pub play: Play,
    /// How streams are published.
    pub publish: Publish,
    /// Where its streams are sent on to, if they are.
    pub forward: Option<Forward>,
    /// Live streams over HTTP, where they are turned on.
    pub remux: Option<Remux>,
    /// HLS, where it is turned on.
    pub hls: Option<Arc<Hls>>,
    /// Recording, where it is turned on.
    pub dvr: Option<Arc<Dvr>>,
    /// Where it stands among other servers.
    pub cluster: Cluster,
    /// The ingests that are to run, in the configuration's order.
    pub ingests: Vec<Ingest>,
}

/// How the streams of a vhost are played.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// Whether a player begins with the newest keyframe that has passed.
    pub gop_cache: bool,
    /// Most frames from that keyframe on; 0 for no limit.
    pub gop_cache_max_frames: usize,
    /// How far a player may fall behind.
    pub queue_length: Duration,
    /// How time stamps are put right.
    pub time_jitter: TimeJitter,
    /// Whether players get the publisher's own time stamps.
    pub atc: bool,
    /// Whether the metadata may turn `atc` on.
    pub atc_auto: bool,
    /// Whether audio and video are ordered by time.
    pub mix_correct: bool,
    /// How long frames may be gathered into one send.
    pub mw_latency: Duration,
    /// How many frames make a send before that.
    pub mw_msgs: usize,
    /// Least time between two frames to one player.
    pub send_min_interval: Duration,
    /// Whether an unchanged sequence header is left out.
    pub reduce_sequence_header: bool,
    /// Most bytes of frames that one stream keeps.
    pub ring_bytes: usize,
}

/// How the streams of a vhost are published.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// How long a publisher may take to send its first frame.
    pub firstpkt_timeout: Duration,
    /// How long it may be silent after that.
    pub normal_timeout: Duration,
    /// After how long without players a publisher is sent away; zero for never.
    pub kickoff_for_idle: Duration,
    /// What becomes of a second publisher of one stream.
    pub on_conflict: OnConflict,
}

/// How time stamps are put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeJitter {
    /// They begin at 0 and rise without leaps.
    Full,
    /// They begin at 0.
    Zero,
    /// They are left as they come.
    Off,
}

impl TimeJitter {
    pub(super) fn read(block: &Block<'_>) -> Result<Self> {
        block.word("time_jitter", |word| match word {
            "zero" => Self::Zero,
            "off" => Self::Off,
            _ => Self::Full,
        })
    }
}

/// What becomes of a second publisher of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// It is refused.
    Refuse,
    /// It takes the place of the first.
    Replace,
}

/// What a vhost needs to know of the configuration's top.
pub(super) struct General {
    pub(super) chunk_size: u32,
    /// Where RTMP is served.
    pub(super) ports: Vec<u16>,
    pub(super) ff_log_level: String,
}

impl Settings {
    /// Reads a configuration. The warnings are those that only the whole shows; what is not built has been
    /// named when it was loaded.
    pub fn from_config(config: &Config) -> Result<(Self, Vec<Warning>)> {
        let tree = config.effective();
        let top = Block { nodes: &tree, path: "" };
        let mut warnings = Vec::new();
        let listen = top.listen("listen")?;
        let general = General {
            chunk_size: top.number("chunk_size")?,
            ports: listen.iter().map(SocketAddr::port).collect(),
            ff_log_level: top.text("ff_log_level")?,
        };
        let mut vhosts = BTreeMap::new();
        for node in tree.iter().filter(|n| n.block && n.name == "vhost") {
            let vhost = Vhost::read(node, &general, &mut warnings)?;
            vhosts.insert(vhost.name.clone(), Arc::new(vhost));
        }
        if vhosts.is_empty() {
            let node = Node::block("vhost", vec![DEFAULT_VHOST.into()], Source::named(DEFAULT_VHOST));
            vhosts.insert(DEFAULT_VHOST.into(), Arc::new(Vhost::read(&node, &general, &mut warnings)?));
        }
        let settings = Self {
            listen,
            chunk_size: general.chunk_size,
            max_connections: top.number("max_connections")?,
            handshake_timeout: top.time("handshake_timeout")?,
            rtmps: TlsServer::read(&top.block("rtmps"))?,
            tls: TlsClient::read(&top.block("tls"))?,
            http_server: HttpServer::server(&top.block("http_server"))?,
            http_api: HttpServer::api(&top.block("http_api"))?,
            utc_time: top.switch("utc_time")?,
            ff_log_dir: Some(top.text("ff_log_dir")?).filter(|dir| !matches!(dir.as_str(), "" | "/dev/null")),
            vhosts,
        };
        Ok((settings, warnings))
    }

    /// The vhost that serves `name`: the one of that name, else [`DEFAULT_VHOST`]. Nothing where the one
    /// found is turned off.
    pub fn vhost(&self, name: &str) -> Option<&Arc<Vhost>> {
        self.vhosts.get(name).or_else(|| self.vhosts.get(DEFAULT_VHOST)).filter(|vhost| vhost.enabled)
    }
}

impl Vhost {
    fn read(node: &Node, general: &General, warnings: &mut Vec<Warning>) -> Result<Self> {
        let vhost = Block { nodes: &node.children, path: "vhost" };
        let enabled = vhost.switch("enabled")?;
        Ok(Self {
            name: node.arg().into(),
            enabled,
            chunk_size: match vhost.find("chunk_size") {
                Some(_) => vhost.number("chunk_size")?,
                None => general.chunk_size,
            },
            tcp_nodelay: vhost.switch("tcp_nodelay")?,
            min_latency: vhost.switch("min_latency")?,
            in_ack_size: vhost.number("in_ack_size")?,
            out_ack_size: vhost.number("out_ack_size")?,
            play: Play::read(&vhost.block("vhost/play"), vhost.switch("min_latency")?)?,
            publish: Publish::read(&vhost.block("vhost/publish"))?,
            forward: Forward::read(&vhost.block("vhost/forward"), warnings)?,
            remux: Remux::read(&vhost.block("vhost/http_remux"))?,
            hls: Hls::read(&vhost.block("vhost/hls"))?.map(Arc::new),
            dvr: Dvr::read(&vhost.block("vhost/dvr"))?.map(Arc::new),
            cluster: Cluster::read(&vhost.block("vhost/cluster"))?,
            // A vhost that isn't served runs none.
            ingests: if enabled { ingest::read(node, general, warnings)? } else { Vec::new() },
        })
    }
}

impl Play {
    fn read(play: &Block<'_>, min_latency: bool) -> Result<Self> {
        // SRS's defaults for gathering hold where low latency is not wanted.
        let gathers = |name: &str| !min_latency && play.find(name).is_none();
        Ok(Self {
            gop_cache: play.switch("gop_cache")?,
            gop_cache_max_frames: play.number("gop_cache_max_frames")?,
            queue_length: play.time("queue_length")?,
            time_jitter: TimeJitter::read(play)?,
            atc: play.switch("atc")?,
            atc_auto: play.switch("atc_auto")?,
            mix_correct: play.switch("mix_correct")?,
            mw_latency: if gathers("mw_latency") { SRS_MW_LATENCY } else { play.time("mw_latency")? },
            mw_msgs: if gathers("mw_msgs") { SRS_MW_MSGS } else { play.number("mw_msgs")? },
            send_min_interval: play.time("send_min_interval")?,
            reduce_sequence_header: play.switch("reduce_sequence_header")?,
            ring_bytes: play.number("ring_bytes")?,
        })
    }
}

impl Publish {
    fn read(publish: &Block<'_>) -> Result<Self> {
        Ok(Self {
            firstpkt_timeout: publish.time("firstpkt_timeout")?,
            normal_timeout: publish.time("normal_timeout")?,
            kickoff_for_idle: publish.time("kickoff_for_idle")?,
            on_conflict: publish.word("on_conflict", |word| match word {
                "replace" => OnConflict::Replace,
                _ => OnConflict::Refuse,
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let mut config = Config::new();
        config.load_text("t", text).unwrap();
        Settings::from_config(&config).unwrap().0
    }

    #[test]
    fn nothing_said_is_the_defaults() {
        let s = settings("");
        assert!(s.listen.is_empty());
        assert_eq!((s.chunk_size, s.max_connections), (60_000, 1000));
        assert_eq!(s.handshake_timeout, Duration::from_secs(10));
        let v = s.vhost("any.name").unwrap();
        assert_eq!(v.name, DEFAULT_VHOST);
        assert!(v.enabled && v.tcp_nodelay && v.min_latency && v.ingests.is_empty());
        assert_eq!((v.chunk_size, v.in_ack_size, v.out_ack_size), (60_000, 0, 2_500_000));
        assert_eq!(
            v.play,
            Play {
                gop_cache: true,
                gop_cache_max_frames: 2500,
                queue_length: Duration::from_secs(30),
                time_jitter: TimeJitter::Full,
                atc: false,
                atc_auto: false,
                mix_correct: false,
                mw_latency: Duration::ZERO,
                mw_msgs: 0,
                send_min_interval: Duration::ZERO,
                reduce_sequence_header: false,
                ring_bytes: 16 * 1024 * 1024,
            }
        );
        assert_eq!(
            v.publish,
            Publish {
                firstpkt_timeout: Duration::from_secs(20),
                normal_timeout: Duration::from_secs(5),
                kickoff_for_idle: Duration::ZERO,
                on_conflict: OnConflict::Refuse,
            }
        );
    }

    #[test]
    fn everything_said_is_read_in_its_unit() {
        let s = settings(
            "listen 1935 127.0.0.1:1936 [::]:1937; chunk_size 4096; max_connections 7; handshake_timeout 100;
            vhost a.b {
                chunk_size 128; tcp_nodelay off; min_latency off; in_ack_size 1; out_ack_size 2;
                play {
                    gop_cache off; gop_cache_max_frames 9; queue_length 2.5; time_jitter zero; atc on;
                    atc_auto on; mix_correct on; mw_latency 350; mw_msgs 8; send_min_interval 10.5;
                    reduce_sequence_header on; ring_bytes 65536;
                }
                publish { firstpkt_timeout 1500; normal_timeout 250; kickoff_for_idle 3; on_conflict replace; }
            }
            vhost c.d { play { time_jitter off; } }",
        );
        let listen: Vec<String> = s.listen.iter().map(SocketAddr::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:1935", "127.0.0.1:1936", "[::]:1937"]);
        assert_eq!((s.chunk_size, s.max_connections), (4096, 7));
        assert_eq!(s.handshake_timeout, Duration::from_millis(100));
        let v = s.vhost("a.b").unwrap();
        assert_eq!((v.chunk_size, v.in_ack_size, v.out_ack_size), (128, 1, 2));
        assert!(!v.tcp_nodelay && !v.min_latency && v.play.atc && v.play.atc_auto && v.play.mix_correct);
        assert!(!v.play.gop_cache && v.play.reduce_sequence_header);
        assert_eq!(v.play.queue_length, Duration::from_millis(2500));
        assert_eq!(v.play.mw_latency, Duration::from_millis(350));
        assert_eq!(v.play.send_min_interval, Duration::from_micros(10_500));
        assert_eq!((v.play.mw_msgs, v.play.ring_bytes, v.play.gop_cache_max_frames), (8, 65_536, 9));
        assert_eq!(v.play.time_jitter, TimeJitter::Zero);
        assert_eq!(v.publish.firstpkt_timeout, Duration::from_millis(1500));
        assert_eq!(v.publish.normal_timeout, Duration::from_millis(250));
        assert_eq!(v.publish.kickoff_for_idle, Duration::from_secs(3));
        assert_eq!(v.publish.on_conflict, OnConflict::Replace);
        assert_eq!(s.vhost("c.d").unwrap().chunk_size, 4096);
        assert_eq!(s.vhost("c.d").unwrap().play.time_jitter, TimeJitter::Off);
        assert!(s.vhost("e.f").is_none());
    }

    #[test]
    fn a_vhost_is_found_by_name_and_else_the_default() {
        let s = settings("vhost a { enabled off; } vhost b {} vhost __defaultVhost__ {}");
        assert!(s.vhost("a").is_none());
        assert_eq!(s.vhost("b").unwrap().name, "b");
        assert_eq!(s.vhost("c").unwrap().name, DEFAULT_VHOST);
        assert!(settings("vhost __defaultVhost__ { enabled off; }").vhost("x").is_none());
    }

    #[test]
    fn the_first_of_two_blocks_counts_and_old_places_count() {
        let s = settings("vhost a { play { atc on; } play { atc off; mw_msgs 3; } mw_latency 5; }");
        let play = &s.vhost("a").unwrap().play;
        assert!(play.atc && play.mw_msgs == 0 && play.mw_latency == Duration::from_millis(5));
    }

    #[test]
    fn an_address_stands_once() {
        let mut config = Config::new();
        config.load_text("t", "\nlisten 1935 0.0.0.0:1935;").unwrap();
        let error = Settings::from_config(&config).unwrap_err();
        assert_eq!(error.message(), "t:2: listen: 0.0.0.0:1935 stands twice");
        config.set("listen", "127.0.0.1:0 127.0.0.1:0").unwrap();
        assert_eq!(Settings::from_config(&config).unwrap().0.listen.len(), 2);
    }
}
