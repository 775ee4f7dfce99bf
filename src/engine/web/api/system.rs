//! What the API tells of the process and the system: read from `/proc`, zero where that is absent.

use std::fs;

use super::{Engine, now_ms};
use crate::http::json::Object;
use crate::time::Time;

/// How often a second the kernel's clock of processor time ticks (`USER_HZ`), on every platform we know.
const TICKS_PER_SECOND: u64 = 100;
/// Bytes that `ru_inblock` and `ru_oublock` count by.
const BLOCK: u64 = 512;

/// What the system has used up so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Ticks {
    /// This process's processor time, in ticks.
    own: u64,
    /// All processors' time, and how much of it they were idle, in ticks.
    all: u64,
    idle: u64,
    /// KiB read from disks and written to them.
    disk_read: u64,
    disk_written: u64,
}

/// How busy the processors are, of 1.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Busy {
    /// With this process, of one processor.
    pub(super) own: f64,
    /// With everything, of all.
    pub(super) all: f64,
    /// KiB per second.
    disk_read: u64,
    disk_written: u64,
}

impl Ticks {
    pub(in crate::engine) fn read() -> Self {
        let stat = read("stat");
        let times = numbers(stat.lines().next().unwrap_or_default());
        let disk = read("vmstat");
        let own = own_stat();
        Self {
            own: own.number(10).saturating_add(own.number(11)),
            // Behind the eighth stands time of guests, which is part of the user's.
            all: times.iter().take(8).fold(0, |sum: u64, time| sum.saturating_add(*time)),
            idle: at(&times, 3).saturating_add(at(&times, 4)),
            disk_read: field(&disk, "pgpgin"),
            disk_written: field(&disk, "pgpgout"),
        }
    }

    fn busy_since(&self, earlier: &Self, ms: u64) -> Busy {
        let ms = ms.max(1);
        let own = self.own.saturating_sub(earlier.own).saturating_mul(1000 / TICKS_PER_SECOND);
        let all = self.all.saturating_sub(earlier.all);
        let idle = self.idle.saturating_sub(earlier.idle).min(all);
        let per_second = |n: u64, before: u64| n.saturating_sub(before).saturating_mul(1000) / ms;
        Busy {
            own: own as f64 / ms as f64,
            all: if all == 0 { 0.0 } else { (all - idle) as f64 / all as f64 },
            disk_read: per_second(self.disk_read, earlier.disk_read),
            disk_written: per_second(self.disk_written, earlier.disk_written),
        }
    }
}

impl Engine {
    /// How busy the processors were over the last 20 to 30 s.
    pub(super) fn busy(&self, now: Time) -> Busy {
        let earlier = self.rates.as_ref().and_then(|rates| rates.ticks());
        earlier.map_or_else(Busy::default, |(at, ticks)| {
            let ms = u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
            Ticks::read().busy_since(ticks, ms)
        })
    }

    pub(super) fn summaries(&self, now: Time, data: &mut Object<'_>) {
        let (stats, busy, own, memory) = (self.stats(), self.busy(now), own_stat(), Memory::read());
        let resident = resident();
        data.key("ok").bool(true);
        data.key("now_ms").uint(now_ms());
        {
            let mut out = data.key("self").object();
            out.key("version").str(env!("CARGO_PKG_VERSION"));
            out.key("pid").uint(std::process::id().into());
            out.key("ppid").uint(own.number(0));
            out.key("argv").str(read("self/cmdline").replace('\0', " ").trim_end());
            let cwd = std::env::current_dir().unwrap_or_default();
            out.key("cwd").str(&cwd.to_string_lossy());
            out.key("mem_kbyte").uint(resident);
            out.key("mem_percent").fixed(share(resident, memory.total), 2);
            out.key("cpu_percent").fixed(busy.own, 2);
            out.key("srs_uptime").uint(stats.uptime_us / 1_000_000);
        }
        let mut out = data.key("system").object();
        let uptime = decimals(&read("uptime"));
        let load = decimals(&read("loadavg"));
        let cpus = read("stat").lines().filter(|line| is_cpu(line)).count() as u64;
        let (device, tcp) = (Device::read(), read("net/sockstat"));
        let sample_time = now_ms();
        out.key("cpu_percent").fixed(busy.all, 2);
        out.key("disk_read_KBps").uint(busy.disk_read);
        out.key("disk_write_KBps").uint(busy.disk_written);
        out.key("disk_busy_percent").fixed(0.0, 2);
        out.key("mem_ram_kbyte").uint(memory.total);
        out.key("mem_ram_percent").fixed(share(memory.used(), memory.total), 2);
        out.key("mem_swap_kbyte").uint(memory.swap_total);
        out.key("mem_swap_percent").fixed(memory.swap_share(), 2);
        out.key("cpus").uint(cpus);
        out.key("cpus_online").uint(cpus);
        out.key("uptime").fixed(at(&uptime, 0), 2);
        // Spelled as SRS spells it.
        out.key("ilde_time").fixed(at(&uptime, 1), 2);
        out.key("load_1m").fixed(at(&load, 0), 2);
        out.key("load_5m").fixed(at(&load, 1), 2);
        out.key("load_15m").fixed(at(&load, 2), 2);
        out.key("net_sample_time").uint(sample_time);
        out.key("net_recv_bytes").uint(device.received);
        out.key("net_send_bytes").uint(device.sent);
        out.key("net_recvi_bytes").uint(device.received_inside);
        out.key("net_sendi_bytes").uint(device.sent_inside);
        out.key("srs_sample_time").uint(sample_time);
        out.key("srs_recv_bytes").uint(stats.received);
        out.key("srs_send_bytes").uint(stats.sent);
        out.key("conn_sys").uint(named(&tcp, "TCP:", "inuse"));
        out.key("conn_sys_et").uint(established());
        out.key("conn_sys_tw").uint(named(&tcp, "TCP:", "tw"));
        out.key("conn_sys_udp").uint(named(&tcp, "UDP:", "inuse"));
        out.key("conn_srs").uint(stats.connections.into());
    }
}

pub(super) fn rusages(data: &mut Object<'_>) {
    let (own, status, io) = (own_stat(), read("self/status"), read("self/io"));
    data.key("ok").bool(!own.text.is_empty());
    data.key("sample_time").uint(now_ms());
    data.key("ru_utime").uint(own.number(10) / TICKS_PER_SECOND);
    data.key("ru_stime").uint(own.number(11) / TICKS_PER_SECOND);
    data.key("ru_maxrss").uint(field(&status, "VmHWM:"));
    for key in ["ru_ixrss", "ru_idrss", "ru_isrss"] {
        data.key(key).uint(0);
    }
    data.key("ru_minflt").uint(own.number(6));
    data.key("ru_majflt").uint(own.number(8));
    data.key("ru_nswap").uint(0);
    data.key("ru_inblock").uint(field(&io, "read_bytes:") / BLOCK);
    data.key("ru_oublock").uint(field(&io, "write_bytes:") / BLOCK);
    for key in ["ru_msgsnd", "ru_msgrcv", "ru_nsignals"] {
        data.key(key).uint(0);
    }
    data.key("ru_nvcsw").uint(field(&status, "voluntary_ctxt_switches:"));
    data.key("ru_nivcsw").uint(field(&status, "nonvoluntary_ctxt_switches:"));
}

/// The fields of `/proc/self/stat` from the fourth on, `ppid`.
const STAT: [&str; 41] = [
    "ppid",
    "pgrp",
    "session",
    "tty_nr",
    "tpgid",
    "flags",
    "minflt",
    "cminflt",
    "majflt",
    "cmajflt",
    "utime",
    "stime",
    "cutime",
    "cstime",
    "priority",
    "nice",
    "num_threads",
    "itrealvalue",
    "starttime",
    "vsize",
    "rss",
    "rsslim",
    "startcode",
    "endcode",
    "startstack",
    "kstkesp",
    "kstkeip",
    "signal",
    "blocked",
    "sigignore",
    "sigcatch",
    "wchan",
    "nswap",
    "cnswap",
    "exit_signal",
    "processor",
    "rt_priority",
    "policy",
    "delayacct_blkio_ticks",
    "guest_time",
    "cguest_time",
];
/// Fields that say where code and stack lie: nobody's business over a network.
const ADDRESSES: [&str; 6] = ["startcode", "endcode", "startstack", "kstkesp", "kstkeip", "wchan"];

pub(super) fn self_proc_stats(busy: f64, data: &mut Object<'_>) {
    let own = own_stat();
    data.key("ok").bool(!own.text.is_empty());
    data.key("sample_time").uint(now_ms());
    data.key("percent").fixed(busy, 2);
    data.key("pid").uint(std::process::id().into());
    let (comm, state) = own.name();
    data.key("comm").str(comm);
    data.key("state").str(state);
    for (i, key) in STAT.iter().enumerate() {
        let value = if ADDRESSES.contains(key) { 0 } else { own.signed(i) };
        data.key(key).int(value);
    }
}

pub(super) fn system_proc_stats(busy: f64, data: &mut Object<'_>) {
    let stat = read("stat");
    let times = numbers(stat.lines().next().unwrap_or_default());
    data.key("ok").bool(!times.is_empty());
    data.key("sample_time").uint(now_ms());
    data.key("percent").fixed(busy, 2);
    let keys = ["user", "nice", "sys", "idle", "iowait", "irq", "softirq", "steal", "guest"];
    for (i, key) in keys.iter().enumerate() {
        data.key(key).uint(at(&times, i));
    }
}

pub(super) fn meminfos(data: &mut Object<'_>) {
    let memory = Memory::read();
    data.key("ok").bool(memory.total > 0);
    data.key("sample_time").uint(now_ms());
    data.key("percent_ram").fixed(share(memory.used(), memory.total), 2);
    data.key("percent_swap").fixed(memory.swap_share(), 2);
    data.key("MemActive").uint(memory.total.saturating_sub(memory.free));
    data.key("RealInUse").uint(memory.used());
    data.key("NotInUse").uint(memory.total.saturating_sub(memory.used()));
    data.key("MemTotal").uint(memory.total);
    data.key("MemFree").uint(memory.free);
    data.key("Buffers").uint(memory.buffers);
    data.key("Cached").uint(memory.cached);
    data.key("SwapTotal").uint(memory.swap_total);
    data.key("SwapFree").uint(memory.swap_free);
}

/// The system's memory, in KiB.
struct Memory {
    total: u64,
    free: u64,
    buffers: u64,
    cached: u64,
    swap_total: u64,
    swap_free: u64,
}

impl Memory {
    fn read() -> Self {
        let text = read("meminfo");
        Self {
            total: field(&text, "MemTotal:"),
            free: field(&text, "MemFree:"),
            buffers: field(&text, "Buffers:"),
            cached: field(&text, "Cached:"),
            swap_total: field(&text, "SwapTotal:"),
            swap_free: field(&text, "SwapFree:"),
        }
    }

    /// What could not be given to others.
    fn used(&self) -> u64 {
        self.total.saturating_sub(self.free).saturating_sub(self.buffers).saturating_sub(self.cached)
    }

    fn swap_share(&self) -> f64 {
        share(self.swap_total.saturating_sub(self.swap_free), self.swap_total)
    }
}

/// Bytes over the network's devices; those of the loopback stand apart.
#[derive(Default)]
struct Device {
    received: u64,
    sent: u64,
    received_inside: u64,
    sent_inside: u64,
}

impl Device {
    fn read() -> Self {
        let mut sum = Self::default();
        for line in read("net/dev").lines() {
            let Some((name, counts)) = line.split_once(':') else { continue };
            let counts = numbers(counts);
            let inside = name.trim() == "lo";
            let (received, sent) = match inside {
                true => (&mut sum.received_inside, &mut sum.sent_inside),
                false => (&mut sum.received, &mut sum.sent),
            };
            *received = received.saturating_add(at(&counts, 0));
            *sent = sent.saturating_add(at(&counts, 8));
        }
        sum
    }
}

/// `/proc/self/stat`.
struct Stat {
    text: String,
}

fn own_stat() -> Stat {
    Stat { text: read("self/stat") }
}

impl Stat {
    /// The program's name in its parentheses, which may hold anything, and its state.
    fn name(&self) -> (&str, &str) {
        let end = self.text.rfind(')').map_or(0, |at| at.saturating_add(1));
        let (head, rest) = self.text.split_at_checked(end).unwrap_or_default();
        let comm = head.find('(').and_then(|at| head.get(at..)).unwrap_or_default();
        (comm, rest.split_whitespace().next().unwrap_or_default())
    }

    fn signed(&self, i: usize) -> i64 {
        let rest = self.text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let word = rest.split_whitespace().nth(i.saturating_add(1)).unwrap_or_default();
        // What has no limit is all ones.
        word.parse::<i64>().ok().or_else(|| word.parse::<u64>().ok().map(|n| n as i64)).unwrap_or(0)
    }

    fn number(&self, i: usize) -> u64 {
        u64::try_from(self.signed(i)).unwrap_or(0)
    }
}

/// KiB of this process that are in memory.
fn resident() -> u64 {
    field(&read("self/status"), "VmRSS:")
}

/// TCP connections that are established.
fn established() -> u64 {
    let text = read("net/snmp");
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let place = names.split_whitespace().position(|name| name == "CurrEstab");
    place.and_then(|at| values.split_whitespace().nth(at)?.parse().ok()).unwrap_or(0)
}

fn read(name: &str) -> String {
    let bytes = fs::read(format!("/proc/{name}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The number behind a word that a line begins with.
fn field(text: &str, name: &str) -> u64 {
    let mut rests = text.lines().filter_map(|line| line.strip_prefix(name));
    let rest = rests.find(|rest| rest.starts_with(char::is_whitespace)).unwrap_or_default();
    rest.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// The number behind a word in the line of that name.
fn named(text: &str, line: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_default();
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    words.nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn decimals(line: &str) -> Vec<f64> {
    line.split_whitespace().map_while(|word| word.parse().ok()).collect()
}

fn at<T: Copy + Default>(values: &[T], i: usize) -> T {
    values.get(i).copied().unwrap_or_default()
}

/// Whether a line of `/proc/stat` is one processor's.
fn is_cpu(line: &str) -> bool {
    line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotal:       24 kB\nSwapCached: 7 kB\nCached:  9 kB\npgpgin 5\npgpginx 6\n";
        assert_eq!((field(text, "MemTotal:"), field(text, "Cached:"), field(text, "pgpgin")), (24, 9, 5));
        assert_eq!(field(text, "Mem"), 0);
        assert_eq!(named("TCP: inuse 3 orphan 0 tw 6\nUDP: inuse 2", "TCP:", "tw"), 6);
        assert_eq!(named("TCP: inuse", "TCP:", "inuse"), 0);
        assert!(is_cpu("cpu0 1") && !is_cpu("cpu  1") && !is_cpu("intr 1"));
    }

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = Stat { text: "7 (a) b (c)) S 1 2 3 0 -1 4194304 10 0".into() };
        assert_eq!(stat.name(), ("(a) b (c))", "S"));
        assert_eq!((stat.number(0), stat.signed(4), stat.number(4), stat.number(6)), (1, -1, 0, 10));
        assert_eq!(stat.number(40), 0);
        let none = Stat { text: String::new() };
        assert_eq!((none.name(), none.signed(0)), (("", ""), 0));
        assert_eq!(Stat { text: ") x 18446744073709551615".into() }.signed(0), -1);
    }

    #[test]
    fn business_is_of_the_time_between() {
        let ticks = |own, all, idle, disk| Ticks { own, all, idle, disk_read: disk, disk_written: 0 };
        let busy = ticks(150, 4000, 2500, 500).busy_since(&ticks(100, 2000, 1000, 100), 10_000);
        assert_eq!(busy, Busy { own: 0.05, all: 0.25, disk_read: 40, disk_written: 0 });
        assert_eq!(Ticks::default().busy_since(&ticks(9, 9, 9, 9), 0), Busy::default());
    }

    #[test]
    fn this_process_is_seen() {
        assert_eq!(own_stat().number(0), u64::from(std::os::unix::process::parent_id()));
        assert!(resident() > 100);
        let ticks = Ticks::read();
        assert!(ticks.all > ticks.idle);
    }
}
