//! A narrow link: two network namespaces of the test's own, and a pair of virtual Ethernet devices between
//! them whose rate and state the test changes. What runs in them is a network of two machines.
//!
//! A namespace lives as long as something runs in it. What keeps it waits for its standard input to end, and
//! that ends with the test, however the test ends: no later run has anything to clear away. Without root's
//! rights namespaces are made in a user namespace, where the kernel allows it.

use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use super::process::Process;

const DEVICE: &str = "cable";
// Where only root has them in the path.
const IP: &str = "/sbin/ip";
const TC: &str = "/sbin/tc";

/// Where a program runs: here, or at an end of a link.
#[derive(Clone)]
pub(crate) struct Place {
    ip: IpAddr,
    /// The command that enters it and then runs another.
    enter: Vec<OsString>,
}

impl Place {
    /// On this machine, at 127.0.0.1.
    pub(crate) fn here() -> Self {
        Self { ip: Ipv4Addr::LOCALHOST.into(), enter: Vec::new() }
    }

    /// The address at which the other end reaches what runs here.
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    pub(crate) fn command(&self, program: impl Into<OsString>) -> Command {
        self.wrap(&Command::new(program.into()))
    }

    /// The same command, but run here. It keeps its process id, so that it can be signalled.
    pub(crate) fn wrap(&self, command: &Command) -> Command {
        let mut words = self.enter.iter().cloned();
        let mut wrapped = match words.next() {
            Some(first) => {
                let mut wrapped = Command::new(first);
                wrapped.args(words).arg(command.get_program());
                wrapped
            }
            None => Command::new(command.get_program()),
        };
        wrapped.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        wrapped
    }
}

/// One end: its place, and the process that keeps it.
struct End {
    place: Place,
    process: Process,
    _stdin: ChildStdin,
}

impl End {
    /// Starts a namespace; the second of a link begins at the first.
    fn start(ip: Ipv4Addr, beside: Option<&Place>) -> Self {
        let way = way().expect("a test that asks `Link::available` first");
        let mut command = match beside {
            Some(first) => first.command("unshare"),
            None => Command::new("unshare"),
        };
        if way == Way::User && beside.is_none() {
            command.args(["--user", "--map-root-user"]);
        }
        // It says so once it is inside.
        command.args(["--net", "sh", "-c", "echo inside >&2; exec cat"]);
        let (process, stdin) = Process::fed(&mut command);
        process.wait_log(1, "inside");
        let mut enter = ["nsenter", "--target", &process.id().to_string()].map(OsString::from).to_vec();
        if way == Way::User {
            enter.extend(["--user", "--preserve-credentials"].map(OsString::from));
        }
        enter.push("--net".into());
        let place = Place { ip: ip.into(), enter };
        run(place.command(IP).args(["link", "set", "lo", "up"]));
        Self { place, process, _stdin: stdin }
    }

    /// Gives this end of the link its address.
    fn join(&self) {
        let address = format!("{}/24", self.place.ip);
        run(self.place.command(IP).args(["address", "add", &address, "dev", DEVICE]));
        run(self.place.command(IP).args(["link", "set", DEVICE, "up"]));
    }

    /// Has the device send by this discipline.
    fn send_by(&self, discipline: &[&str]) {
        let command = ["qdisc", "replace", "dev", DEVICE, "root"];
        run(self.place.command(TC).args(command).args(discipline));
    }
}

/// Two ends and the link between them.
pub(crate) struct Link {
    near: End,
    far: End,
    rate_kbit: u32,
    is_up: bool,
}

impl Link {
    /// Whether links can be made on this machine. A test that needs one and can't have it says so and ends.
    pub(crate) fn available() -> bool {
        if way().is_none() {
            // Past the test harness, which keeps what a test that passes prints.
            let why = "left out: a test that needs network namespaces, which this user can't make here";
            let _ = writeln!(std::io::stderr(), "{why}");
        }
        way().is_some()
    }

    /// A link of so many kbit/s each way, its packets' headers included.
    pub(crate) fn new(rate_kbit: u32) -> Self {
        let near = End::start(Ipv4Addr::new(10, 77, 0, 1), None);
        let far = End::start(Ipv4Addr::new(10, 77, 0, 2), Some(&near.place));
        let far_id = far.process.id().to_string();
        let pair = ["link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", &far_id];
        run(near.place.command(IP).args(pair));
        near.join();
        far.join();
        let mut link = Self { near, far, rate_kbit, is_up: true };
        link.rate(rate_kbit);
        link
    }

    pub(crate) fn near(&self) -> &Place {
        &self.near.place
    }

    pub(crate) fn far(&self) -> &Place {
        &self.far.place
    }

    /// Changes the rate, both ways.
    pub(crate) fn rate(&mut self, rate_kbit: u32) {
        self.rate_kbit = rate_kbit;
        if self.is_up {
            // A bucket of 10 ms, but never less than two packets.
            let burst = (u64::from(rate_kbit) * 1000 / 8 / 100).max(3100).to_string();
            let rate = format!("{rate_kbit}kbit");
            let bucket = ["tbf", "rate", &rate, "burst", &burst, "latency", "200ms"];
            self.both_send_by(&bucket);
        }
    }

    /// Loses every packet from now on, as a cable does that is pulled out somewhere in between: neither
    /// end is told.
    pub(crate) fn down(&mut self) {
        self.is_up = false;
        self.both_send_by(&["blackhole"]);
    }

    /// Carries again after `down`.
    pub(crate) fn up(&mut self) {
        self.is_up = true;
        self.rate(self.rate_kbit);
    }

    fn both_send_by(&self, discipline: &[&str]) {
        self.near.send_by(discipline);
        self.far.send_by(discipline);
    }
}

/// How namespaces are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Root,
    User,
}

fn way() -> Option<Way> {
    static WAY: OnceLock<Option<Way>> = OnceLock::new();
    *WAY.get_or_init(|| {
        let works = |how: &[&str]| {
            // The disciplines are modules of the kernel, which it may lack.
            let script = format!(
                "{IP} link add {DEVICE} type veth peer name other && {IP} link set {DEVICE} up &&
                {TC} qdisc replace dev {DEVICE} root tbf rate 1mbit burst 10k latency 1ms &&
                {TC} qdisc replace dev {DEVICE} root blackhole"
            );
            let mut command = Command::new("unshare");
            command.args(how).args(["--net", "sh", "-c", &script]).stdin(Stdio::null());
            command.output().is_ok_and(|output| output.status.success())
        };
        if works(&[]) { Some(Way::Root) } else { works(&["--user", "--map-root-user"]).then_some(Way::User) }
    })
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
