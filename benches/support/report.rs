//! From the runs to the tables.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::media::BYTES_PER_SECOND;
use super::servers::Kind;

const NS_PER_MS: f64 = 1e6;
/// What two keyframes come to: how far apart players may honestly be at the end of an interval.
const SLACK_BYTES: u64 = 150_000;

/// What one run of one server with some players came to.
#[derive(Clone, Default)]
pub(crate) struct Figures {
    /// CPU seconds of the server per 10^9 bytes delivered.
    cpu_per_gb: f64,
    /// Share of its core that the server took, in percent.
    core: f64,
    /// kB per player.
    memory: f64,
    idle_kb: f64,
    latency_ms: Option<[f64; 3]>,
    /// Median and longest.
    first_key_ms: Option<[f64; 2]>,
    pub(crate) notes: Vec<String>,
}

/// Takes a value at a share of a sorted list.
fn quantile(sorted: &[u64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |&value| value as f64)
}

impl Figures {
    /// Reads the lines that the load printed.
    pub(crate) fn parse(
        text: &str,
        (players, merge_ms): (usize, u64),
        (idle_kb, base_kb): (u64, u64),
    ) -> Result<Self, String> {
        let lines: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let list = |name: &str| -> Vec<u64> {
            let values = lines.get(name).unwrap_or(&"");
            values.split_whitespace().filter_map(|value| value.parse().ok()).collect()
        };
        let one = |name: &str| list(name).first().copied().ok_or(format!("the load told no {name}"));

        let wall = one("wall_ns")?;
        let server = one("server_ns")?;
        let bytes = list("bytes");
        let total: u64 = bytes.iter().sum();
        if total == 0 {
            return Err(format!("delivered nothing: {}", lines.get("error").unwrap_or(&"no message")));
        }
        let percent = |ns: u64| ns as f64 * 100.0 / wall as f64;
        let latencies = list("latencies_ns");
        let mut late = list("late_joins_ns");
        late.sort_unstable();
        let mut figures = Self {
            cpu_per_gb: server as f64 / total as f64,
            core: percent(server),
            memory: one("rss_kb")?.saturating_sub(base_kb) as f64 / players as f64,
            idle_kb: idle_kb as f64,
            latency_ms: (!latencies.is_empty())
                .then(|| [0.5, 0.99, 1.0].map(|share| quantile(&latencies, share) / NS_PER_MS)),
            first_key_ms: (!late.is_empty())
                .then(|| [0.5, 1.0].map(|share| quantile(&late, share) / NS_PER_MS)),
            notes: Vec::new(),
        };

        let median = quantile(&bytes, 0.5) as u64;
        let expected = BYTES_PER_SECOND * wall / 1_000_000_000;
        let slack = SLACK_BYTES + median / 100 + BYTES_PER_SECOND * merge_ms / 1000;
        let short = bytes.iter().filter(|&&got| got + slack < median).count();
        let (joined, lost) = (one("joined")? as usize, one("lost")?);
        let mut note = |text: String| figures.notes.push(text);
        if joined < players {
            note(format!("{} of {players} players did not come to play", players - joined));
        }
        if lost > 0 {
            note(format!("{lost} players were lost: {}", lines.get("error").unwrap_or(&"no message")));
        }
        if short > 0 {
            note(format!("{short} of {players} players got less than the others"));
        }
        if median.abs_diff(expected) > slack {
            note(format!("a player got {:.1} % of the stream", median as f64 * 100.0 / expected as f64));
        }
        if percent(one("load_ns")?) > 90.0 {
            note(format!(
                "the load was itself the bottleneck: {:.0} % of its core",
                percent(one("load_ns")?)
            ));
        } else if percent(one("load_core_ns")?) > 95.0 {
            note("the load's core was full: latency is not the server's".to_owned());
        }
        if percent(server) > 95.0 {
            note("the server's core was full".to_owned());
        }
        // The core's own account counts by ticks.
        let others = percent(one("server_core_ns")?.saturating_sub(server));
        if others > 10.0 {
            note(format!("something else took {others:.0} % of the server's core"));
        }
        Ok(figures)
    }

    /// The median of each figure.
    fn median(runs: &[Figures]) -> Option<Figures> {
        let of = |pick: &dyn Fn(&Figures) -> Option<f64>| {
            let mut values: Vec<f64> = runs.iter().filter_map(pick).collect();
            values.sort_by(f64::total_cmp);
            let middle = values.len() / 2;
            match values.len() {
                0 => None,
                n if n % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
                _ => Some(values[middle]),
            }
        };
        let latency = |i: usize| of(&|run| run.latency_ms.map(|all| all[i]));
        let first_key = |i: usize| of(&|run| run.first_key_ms.map(|all| all[i]));
        Some(Figures {
            cpu_per_gb: of(&|run| Some(run.cpu_per_gb))?,
            core: of(&|run| Some(run.core))?,
            memory: of(&|run| Some(run.memory))?,
            idle_kb: of(&|run| Some(run.idle_kb))?,
            latency_ms: latency(0).zip(latency(1)).zip(latency(2)).map(|((a, b), c)| [a, b, c]),
            first_key_ms: first_key(0).zip(first_key(1)).map(|(a, b)| [a, b]),
            notes: Vec::new(),
        })
    }

    /// One line for whoever waits.
    pub(crate) fn brief(&self) -> String {
        let latency =
            self.latency_ms.map_or(String::new(), |[p50, p99, _]| format!(", {p50:.2}/{p99:.2} ms"));
        format!("{:.2} s/GB, {:.0} % of a core{latency}", self.cpu_per_gb, self.core)
    }
}

/// All that was measured.
pub(crate) struct Report {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) players: Vec<usize>,
    pub(crate) merges: Vec<u64>,
    pub(crate) seconds: u64,
    pub(crate) repeat: usize,
    /// Whose time to the first keyframe was measured.
    pub(crate) late_at: usize,
    /// Lines under the head: which programs.
    pub(crate) programs: Vec<String>,
    /// Why something is missing.
    pub(crate) notes: Vec<String>,
    /// What HLS cost, as a section of the page.
    pub(crate) hls: String,
    /// What forwards cost, as another.
    pub(crate) forwards: String,
    runs: BTreeMap<(u64, usize, &'static str), Vec<Figures>>,
}

impl Report {
    /// An empty one.
    pub(crate) fn new(kinds: Vec<Kind>, players: Vec<usize>, merges: Vec<u64>) -> Self {
        Self {
            kinds,
            players,
            merges,
            seconds: 0,
            repeat: 0,
            late_at: 0,
            programs: Vec::new(),
            notes: Vec::new(),
            hls: String::new(),
            forwards: String::new(),
            runs: BTreeMap::new(),
        }
    }

    /// Takes a run in.
    pub(crate) fn add(&mut self, (kind, players, merge): (Kind, usize, u64), figures: Figures) {
        for note in &figures.notes {
            self.notes.push(format!("{}, {players} players{}: {note}", kind.name(), merged(merge)));
        }
        self.runs.entry((merge, players, kind.name())).or_default().push(figures);
    }

    fn median(&self, merge: u64, players: usize, kind: Kind) -> Option<Figures> {
        Figures::median(self.runs.get(&(merge, players, kind.name()))?)
    }

    /// The whole page.
    pub(crate) fn markdown(&self) -> String {
        let mut page = String::from("# Side by side\n\n");
        for line in machine().iter().chain(&self.programs) {
            let _ = writeln!(page, "- {line}");
        }
        let _ = writeln!(
            page,
            "- stream: {:.2} Mbit/s, 30 frames/s, keyframe every 2 s; measured for {} s, median of {}",
            BYTES_PER_SECOND as f64 * 8.0 / 1e6,
            self.seconds,
            self.repeat
        );
        page.push_str(
            "- the server on one core, players and publisher on another; the floor sends the same bytes to\n  \
             the same sockets and does nothing else; GB are 10^9 bytes\n",
        );
        for &merge in &self.merges {
            self.table(&mut page, "CPU seconds per GB delivered (× floor)", merge, &|kind, players| {
                let figures = self.median(merge, players, kind)?;
                let floor = self.median(merge, players, Kind::Floor).filter(|_| kind != Kind::Floor);
                let ratio =
                    floor.map_or(String::new(), |f| format!(" ({:.2}×)", figures.cpu_per_gb / f.cpu_per_gb));
                Some(format!("{:.2}{ratio}", figures.cpu_per_gb))
            });
            self.table(&mut page, "Share of the server's core, %", merge, &|kind, players| {
                Some(format!("{:.1}", self.median(merge, players, kind)?.core))
            });
            self.table(&mut page, "Publish to play, ms: p50 / p99 / max", merge, &|kind, players| {
                let [p50, p99, max] = self.median(merge, players, kind)?.latency_ms?;
                Some(format!("{p50:.2} / {p99:.2} / {max:.2}"))
            });
            self.table(&mut page, "Memory per player, kB", merge, &|kind, players| {
                // With fewer, what any server allocates once would be shared out among them.
                let figures = self.median(merge, players, kind).filter(|_| players >= 100)?;
                Some(format!("{:.1}", figures.memory))
            });
        }
        self.once(&mut page);
        page.push_str(&self.hls);
        page.push_str(&self.forwards);
        if !self.notes.is_empty() {
            page.push_str("\n## Notes\n\n");
            for note in &self.notes {
                let _ = writeln!(page, "- {note}");
            }
        }
        page
    }

    fn table(
        &self,
        page: &mut String,
        title: &str,
        merge: u64,
        cell: &dyn Fn(Kind, usize) -> Option<String>,
    ) {
        let _ = writeln!(page, "\n## {title}{}\n", merged(merge));
        self.head(page, "players");
        for &players in &self.players {
            let _ = write!(page, "| {players} |");
            for &kind in &self.kinds {
                let _ = write!(page, " {} |", cell(kind, players).unwrap_or("–".to_owned()));
            }
            page.push('\n');
        }
    }

    fn head(&self, page: &mut String, first: &str) {
        let _ = write!(page, "| {first} |");
        for kind in &self.kinds {
            let _ = write!(page, " {} |", kind.title());
        }
        let _ = writeln!(page, "\n|---|{}", "---|".repeat(self.kinds.len()));
    }

    fn once(&self, page: &mut String) {
        page.push_str("\n## Once per server\n\n");
        self.head(page, "what");
        let merge = self.merges[0];
        let mut row = |title: String, cell: &dyn Fn(Kind) -> Option<String>| {
            let _ = write!(page, "| {title} |");
            for &kind in &self.kinds {
                let _ = write!(page, " {} |", cell(kind).unwrap_or("–".to_owned()));
            }
            page.push('\n');
        };
        let title = format!("play command to first keyframe, {} players, ms: p50 / max", self.late_at);
        row(title, &|kind| {
            let [p50, max] = self.median(merge, self.late_at, kind)?.first_key_ms?;
            Some(format!("{p50:.2} / {max:.2}"))
        });
        row("idle RSS, MB".to_owned(), &|kind| {
            let runs: Vec<Figures> = self
                .runs
                .iter()
                .filter(|((_, _, name), _)| *name == kind.name())
                .flat_map(|(_, runs)| runs.iter().cloned())
                .collect();
            Some(format!("{:.1}", Figures::median(&runs)?.idle_kb / 1024.0))
        });
    }
}

/// What so many forwards cost beside as many players.
pub(crate) fn forwards_section(count: usize, players: &[Figures], forwards: &[Figures]) -> String {
    let mut page = format!(
        "\n## {count} forwards\n\nOne stream, sent on to {count} servers that are one program, beside {count} players of it.\n\n\
         | to whom | CPU seconds per GB | × players | share of the core, % | publish to receiver, ms: p50 / p99 |\n\
         |---|---|---|---|---|\n"
    );
    let base = Figures::median(players).map(|figures| figures.cpu_per_gb);
    for (title, runs) in [("players", players), ("servers", forwards)] {
        let Some(figures) = Figures::median(runs) else { continue };
        let ratio = base.map_or("–".to_owned(), |base| format!("{:.2}", figures.cpu_per_gb / base));
        let latency =
            figures.latency_ms.map_or("–".to_owned(), |[p50, p99, _]| format!("{p50:.2} / {p99:.2}"));
        let _ = writeln!(
            page,
            "| {title} | {:.2} | {ratio} | {:.1} | {latency} |",
            figures.cpu_per_gb, figures.core
        );
    }
    page
}

fn merged(merge_ms: u64) -> String {
    if merge_ms == 0 { String::new() } else { format!(", merging {merge_ms} ms") }
}

/// The head: when, where, what.
fn machine() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name)).unwrap_or("");
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    // Many virtual machines hide the name; family and model are left.
    let cpu = format!(
        "{} (family {}, model {}, {} MHz), {cores} cores",
        field("model name"),
        field("cpu family"),
        field("model\t\t"),
        field("cpu MHz")
    );
    let mut revision = output("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or("unknown".to_owned());
    if output("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty())
    {
        revision += " with changes";
    }
    let date = output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default();
    vec![
        format!("date: {date}"),
        format!("revision: {revision}"),
        format!("kernel: Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        format!("CPU: {cpu}"),
    ]
}

/// What a program says, on either of its outputs.
pub(crate) fn output(program: impl AsRef<Path>, args: &[&str]) -> Option<String> {
    let output = Command::new(program.as_ref()).args(args).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    output.status.success().then(|| String::from_utf8_lossy(&text).trim().to_owned())
}
