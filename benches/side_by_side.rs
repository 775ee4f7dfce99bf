//! camrill beside others, in one run: what a server costs per gigabyte it delivers, how late it is, and how
//! much memory it takes, for camrill's RTMP, HTTP-FLV and MP4 over WebSocket, nginx's RTMP module and the
//! *floor*: a program that sends the same bytes to the same sockets and does nothing else. Then HLS from
//! memory, beside nginx with the same files; and forwards beside as many players.
//!
//! ```text
//! cargo bench --bench side_by_side -- [--players 10,100,500,1000] [--hls 200] [--forwards 50]
//!     [--seconds 8] [--repeat 1]
//!     [--only floor,camrill,camrill-flv,camrill-ws-mp4,nginx] [--merge 350] [--late-at 500] [--out FILE]
//!     [--camrill PROGRAM] [--nginx PROGRAM] [--nginx-module FILE]
//! ```
//!
//! `--hls 0` leaves HLS out, `--forwards 0` forwards, and `--only none` all but these. `--merge` takes a list: with 0 all take part as they come; with more, camrill merges that many ms and the
//! floor sends in batches of as many; nginx cannot.
//!
//! The servers take turns at each number of players, so that a drift of the machine hits all alike. This
//! program starts itself again for the parts of floor, publisher and players.

mod support;

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use support::report::{Figures, Report, forwards_section, output};
use support::servers::{self, Kind, Programs, Server};
use support::sys::{self, Proc, TempDir};
use support::{floor, hls, load, publish};

/// Before memory at 0 players is read: the GOP cache has gone round.
const WARM_UP: Duration = Duration::from_millis(4_300);
/// How long to wait for the machine to be quiet.
const QUIET_LIMIT: Duration = Duration::from_secs(15);
const PROBES: usize = 8;
const LATE_JOINS: usize = 12;
/// HLS is measured for so many seconds at least: a segment comes every two.
const HLS_SECONDS: u64 = 12;

type Failure = Box<dyn std::error::Error>;

struct Options {
    players: Vec<usize>,
    merges: Vec<u64>,
    kinds: Vec<Kind>,
    seconds: u64,
    repeat: usize,
    late_at: usize,
    hls: usize,
    forwards: usize,
    out: Option<PathBuf>,
    programs: Programs,
}

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.is_empty() {
        // As `cargo test --all-targets` does.
        println!("nothing is measured without `cargo bench`");
        return ExitCode::SUCCESS;
    }
    args.retain(|arg| arg != "--bench");
    let result = match args.first().map(String::as_str) {
        Some(role) if role.starts_with("role-") => play_role(&args),
        _ => Options::parse(&args).and_then(|options| measure(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side_by_side: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The parts that this program plays for itself.
fn play_role(args: &[String]) -> Result<(), Failure> {
    let number = |i: usize| -> Result<u64, Failure> { Ok(args.get(i).ok_or("too few arguments")?.parse()?) };
    let port = number(1)? as u16;
    match args[0].as_str() {
        "role-floor" => floor::run(port, number(2)? as u16, number(3)?)?,
        "role-publish" => publish::run(port, args.get(2).is_some_and(|framing| framing == "floor"))?,
        "role-load" => load::run(load::Task {
            port,
            pid: number(2)? as u32,
            played: args.get(3).and_then(|name| load::Played::named(name)).ok_or("nothing is played")?,
            players: number(4)? as usize,
            probes: number(5)? as usize,
            seconds: number(6)?,
            late_joins: number(7)? as usize,
        })?,
        "role-hls" => hls::run(port, number(2)? as u32, number(3)? as usize, number(4)?)?,
        role => return Err(format!("there is no {role}").into()),
    }
    Ok(())
}

fn list<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, Failure> {
    let values: Result<Vec<T>, _> = text.split(',').map(str::parse).collect();
    values.map_err(|_| format!("not a list of numbers: {text}").into())
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        // Where cargo puts this program: target/release/deps.
        let beside = std::env::current_exe()?.ancestors().nth(2).map(|dir| dir.join("camrill-server"));
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let mut options = Self {
            players: vec![10, 100, 500, 1000],
            merges: vec![0],
            kinds: Kind::ALL.to_vec(),
            seconds: 8,
            repeat: 1,
            late_at: 500,
            hls: 200,
            forwards: 50,
            out: None,
            programs: Programs {
                camrill: variable("CAMRILL_SERVER").or(beside).unwrap_or_default(),
                nginx: variable("NGINX").unwrap_or("/usr/sbin/nginx".into()),
                nginx_module: "/usr/lib/nginx/modules/ngx_rtmp_module.so".into(),
            },
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or(format!("{name} wants a value"));
            match name.as_str() {
                "--players" => options.players = list(value()?)?,
                "--merge" => options.merges = list(value()?)?,
                "--only" => {
                    let mut names: Vec<String> = list(value()?)?;
                    names.retain(|name| name != "none");
                    options.kinds =
                        Kind::ALL.into_iter().filter(|k| names.iter().any(|n| n == k.name())).collect();
                    if options.kinds.len() != names.len() {
                        return Err("--only takes floor, camrill, camrill-flv, camrill-ws-mp4, nginx".into());
                    }
                }
                "--hls" => options.hls = value()?.parse()?,
                "--forwards" => options.forwards = value()?.parse()?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--repeat" => options.repeat = value()?.parse()?,
                "--late-at" => options.late_at = value()?.parse()?,
                "--out" => options.out = Some(value()?.into()),
                "--camrill" => options.programs.camrill = value()?.into(),
                "--nginx" => options.programs.nginx = value()?.into(),
                "--nginx-module" => options.programs.nginx_module = value()?.into(),
                other => return Err(format!("there is no option {other}").into()),
            }
        }
        if options.players.is_empty()
            || options.players.contains(&0)
            || options.seconds == 0
            || options.repeat == 0
        {
            return Err("players, seconds and repeat are at least 1".into());
        }
        if !options.players.contains(&options.late_at) {
            options.late_at = options.players.iter().copied().max().unwrap_or(0);
        }
        // Servers run in directories of their own.
        options.programs.camrill = std::path::absolute(&options.programs.camrill)?;
        Ok(options)
    }
}

fn measure(options: &Options) -> Result<(), Failure> {
    if std::thread::available_parallelism()?.get() < 2 {
        return Err("two cores are needed: one for the server, one for the load".into());
    }
    let files = sys::raise_nofile(40_000);
    let most =
        options.players.iter().max().copied().unwrap_or(0).max(options.hls).max(options.forwards) as u64;
    if files < most + 100 {
        return Err(format!("{most} players are more than the limit of {files} open files allows").into());
    }
    sys::catch_interrupts();

    let mut report = Report::new(options.kinds.clone(), options.players.clone(), options.merges.clone());
    report.seconds = options.seconds;
    report.repeat = options.repeat;
    report.late_at = options.late_at;
    let mut present = Vec::new();
    for &kind in &options.kinds {
        match options.programs.missing(kind) {
            Some(why) => report.notes.push(why),
            None => present.push(kind),
        }
    }
    let version = |kind, program: &PathBuf| {
        present.contains(&kind).then(|| output(program, &["-v"])).flatten().into_iter()
    };
    report.programs.extend(version(Kind::Camrill, &options.programs.camrill));
    report.programs.extend(version(Kind::Nginx, &options.programs.nginx));

    for &merge in &options.merges {
        for &players in &options.players {
            for _ in 0..options.repeat {
                for &kind in &present {
                    if merge > 0 && kind == Kind::Nginx {
                        continue;
                    }
                    let result = one_run(options, kind, players, merge);
                    if sys::interrupted() {
                        return Err("interrupted".into());
                    }
                    match result {
                        Ok(figures) => {
                            eprintln!("{} × {players}: {}", kind.name(), figures.brief());
                            report.add((kind, players, merge), figures);
                        }
                        Err(error) => {
                            eprintln!("{} × {players}: {error}", kind.name());
                            report.notes.push(format!("{}, {players} players: {error}", kind.name()));
                        }
                    }
                }
            }
        }
    }

    report.hls = measure_hls(options, &mut report.notes)?;
    report.forwards = measure_forwards(options, &mut report.notes)?;
    let page = report.markdown();
    if let Some(out) = &options.out {
        fs::write(out, &page)?;
    }
    print!("{page}");
    Ok(())
}

/// One server, fresh, with so many players.
fn one_run(options: &Options, kind: Kind, players: usize, merge: u64) -> Result<Figures, Failure> {
    wait_for_quiet()?;
    let server = Server::start(kind, &options.programs, merge)?;
    pause(Duration::from_millis(300))?;
    let idle_kb = sys::rss_kb(server.pid)?;
    let _publisher = servers::publisher(&server, kind == Kind::Floor)?;
    pause(WARM_UP)?;
    let base_kb = sys::rss_kb(server.pid)?;

    let late_joins = if players == options.late_at && kind != Kind::Floor { LATE_JOINS } else { 0 };
    let numbers = [players, PROBES.min(players), options.seconds as usize, late_joins];
    let mut args = vec!["role-load".to_owned(), server.port.to_string(), server.pid.to_string()];
    args.push(kind.played().name().to_owned());
    args.extend(numbers.map(|n| n.to_string()));
    // Joining, settling, late joins: whoever takes longer hangs.
    let text = run_load(&server, &args, Duration::from_secs(options.seconds + 100))?;
    Ok(Figures::parse(&text, (players, merge), (idle_kb, base_kb))?)
}

/// HLS of each contestant, in turns.
fn measure_hls(options: &Options, notes: &mut Vec<String>) -> Result<String, Failure> {
    if options.hls == 0 {
        return Ok(String::new());
    }
    let seconds = options.seconds.max(HLS_SECONDS);
    let mut runs = Vec::new();
    for _ in 0..options.repeat {
        for contestant in hls::Contestant::ALL {
            let result = one_hls_run(options, contestant, seconds);
            if sys::interrupted() {
                return Err("interrupted".into());
            }
            match result {
                Ok(figures) => {
                    eprintln!("HLS, {} × {}: {}", contestant.name(), options.hls, figures.brief());
                    runs.push((contestant, figures));
                }
                Err(error) => {
                    eprintln!("HLS, {}: {error}", contestant.name());
                    notes.push(format!("HLS, {}: {error}", contestant.name()));
                }
            }
        }
    }
    Ok(hls::section(options.hls, seconds, &runs))
}

/// One server of HLS, fresh. Before nginx's files stands a camrill that writes them.
fn one_hls_run(
    options: &Options,
    contestant: hls::Contestant,
    seconds: u64,
) -> Result<hls::Figures, Failure> {
    wait_for_quiet()?;
    let programs = &options.programs;
    let folder = TempDir::new("segments")?;
    let from_memory = contestant == hls::Contestant::Camrill;
    let (path, core) =
        if from_memory { (None, sys::SERVER_CORE) } else { (Some(folder.path()), sys::LOAD_CORE) };
    let writer = Server::start_hls(programs, path, core)?;
    let _publisher = servers::publisher(&writer, false)?;
    let files = match contestant {
        hls::Contestant::Camrill => None,
        hls::Contestant::NginxSendfile => Some(Server::start_files(programs, folder.path(), true)?),
        hls::Contestant::Nginx => Some(Server::start_files(programs, folder.path(), false)?),
    };
    // Until there is a playlist of some segments.
    pause(Duration::from_secs(5 * hls::FRAGMENT_S))?;
    let server = files.as_ref().unwrap_or(&writer);
    let mut args = vec!["role-hls".to_owned(), server.port.to_string(), server.pid.to_string()];
    args.extend([options.hls.to_string(), seconds.to_string()]);
    let text = run_load(server, &args, Duration::from_secs(seconds + 30))?;
    Ok(hls::Figures::parse(&text, options.hls)?)
}

/// A stream that is forwarded, and one that is played as often, in turns.
fn measure_forwards(options: &Options, notes: &mut Vec<String>) -> Result<String, Failure> {
    let count = options.forwards;
    if count == 0 {
        return Ok(String::new());
    }
    let (mut players, mut forwards) = (Vec::new(), Vec::new());
    for _ in 0..options.repeat {
        for is_forward in [false, true] {
            let name = if is_forward { "forwards" } else { "players beside forwards" };
            let result = match is_forward {
                false => one_run(options, Kind::Camrill, count, 0),
                true => one_forward_run(options, count),
            };
            if sys::interrupted() {
                return Err("interrupted".into());
            }
            match result {
                Ok(figures) => {
                    eprintln!("{name} × {count}: {}", figures.brief());
                    notes.extend(figures.notes.iter().map(|note| format!("{name}, {count}: {note}")));
                    if is_forward { &mut forwards } else { &mut players }.push(figures);
                }
                Err(error) => {
                    eprintln!("{name} × {count}: {error}");
                    notes.push(format!("{name}, {count}: {error}"));
                }
            }
        }
    }
    Ok(forwards_section(count, &players, &forwards))
}

/// One camrill, fresh, that forwards so often; the load is the servers.
fn one_forward_run(options: &Options, count: usize) -> Result<Figures, Failure> {
    wait_for_quiet()?;
    let port = sys::free_port()?;
    let server = Server::start_forwards(&options.programs, port, count)?;
    pause(Duration::from_millis(300))?;
    let idle_kb = sys::rss_kb(server.pid)?;
    let _publisher = servers::publisher(&server, false)?;
    pause(WARM_UP)?;
    let base_kb = sys::rss_kb(server.pid)?;
    let numbers = [count, PROBES.min(count), options.seconds as usize, 0];
    let mut args = vec!["role-load".to_owned(), port.to_string(), server.pid.to_string()];
    args.push(load::Played::Forward.name().to_owned());
    args.extend(numbers.map(|n| n.to_string()));
    let text = run_load(&server, &args, Duration::from_secs(options.seconds + 100))?;
    Ok(Figures::parse(&text, (count, 0), (idle_kb, base_kb))?)
}

/// What the load says: this program in one of its parts.
fn run_load(server: &Server, args: &[String], limit: Duration) -> Result<String, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut load = Proc::spawn(command, sys::LOAD_CORE)?;
    let text = read_all(&mut load, limit)?;
    if text.is_empty() {
        return Err(format!("the load failed; the server's last word: {}", server.last_words()).into());
    }
    Ok(text)
}

/// Waits, though not for long, until both cores are nearly idle.
fn wait_for_quiet() -> io::Result<()> {
    let busy =
        || Ok::<_, io::Error>([sys::core_busy_ns(sys::SERVER_CORE)?, sys::core_busy_ns(sys::LOAD_CORE)?]);
    let deadline = Instant::now() + QUIET_LIMIT;
    let step = Duration::from_millis(500);
    while Instant::now() < deadline {
        let before = busy()?;
        pause(step)?;
        let after = busy()?;
        if (0..2).all(|core| after[core].saturating_sub(before[core]) < step.as_nanos() as u64 / 10) {
            break;
        }
    }
    Ok(())
}

fn pause(time: Duration) -> io::Result<()> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        if sys::interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        std::thread::sleep(Duration::from_millis(50).min(deadline - Instant::now()));
    }
    Ok(())
}

/// All that a child prints until it ends.
fn read_all(process: &mut Proc, limit: Duration) -> io::Result<String> {
    let mut stdout = process.child().stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let deadline = Instant::now() + limit;
    let mut text = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        if sys::interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if Instant::now() > deadline {
            return Err(io::Error::other("the load did not end in time"));
        }
        if sys::wait_readable(stdout.as_raw_fd(), Duration::from_millis(200)) {
            let n = stdout.read(&mut buffer)?;
            if n == 0 {
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
            text.extend(&buffer[..n]);
        }
    }
}
