//! Ingest, and transcoding by another program: the `engine` block is the same in both.

use super::{Directive, Kind, Named, count, row};
use Kind::{Float, Free, Switch, Text, Texts, Word};

/// What an engine block at a path holds, beside `enabled` and `output`; `$row` makes a row.
macro_rules! engine {
    ($path:literal, $row:ident, [$($first:expr),* $(,)?], $enabled:expr, $output:expr) => {
        &[
            $($first,)*
            $enabled,
            $output,
            $row(concat!($path, "/perfile"), Free, "", "Arguments before the input."),
            $row(concat!($path, "/iformat"), Text, "flv", "Format of the input; off to have it found out, as flv is unless the input is RTMP."),
            $row(concat!($path, "/vfilter"), Free, "", "Arguments for video filters."),
            $row(concat!($path, "/vcodec"), Text, "", "Video codec; copy to leave it, vn to drop it."),
            $row(concat!($path, "/vbitrate"), count("kbit/s"), "", "Video rate, in kbit/s."),
            $row(concat!($path, "/vfps"), Float { min: 0.0, max: 1000.0, unit: "" }, "", "Frames per second."),
            $row(concat!($path, "/vwidth"), count("pixels"), "", "Picture width, in pixels."),
            $row(concat!($path, "/vheight"), count("pixels"), "", "Picture height, in pixels."),
            $row(concat!($path, "/vthreads"), count(""), "", "Threads of the video encoder."),
            $row(concat!($path, "/vprofile"), Text, "", "Profile of the video encoder."),
            $row(concat!($path, "/vpreset"), Text, "", "Preset of the video encoder."),
            $row(concat!($path, "/vparams"), Free, "", "More arguments for the video encoder."),
            $row(concat!($path, "/acodec"), Text, "", "Audio codec; copy to leave it, an to drop it."),
            $row(concat!($path, "/abitrate"), count("kbit/s"), "", "Audio rate, in kbit/s."),
            $row(concat!($path, "/asample_rate"), count("Hz"), "", "Audio samples per second."),
            $row(concat!($path, "/achannels"), count(""), "", "Audio channels."),
            $row(concat!($path, "/aparams"), Free, "", "More arguments for the audio encoder."),
            $row(concat!($path, "/oformat"), Text, "flv", "Format of the output; off to have it follow from the output's name."),
        ]
    };
}

const NAMED: Kind = Kind::Block { named: Named::Yes };
const MAYBE_NAMED: Kind = Kind::Block { named: Named::Maybe };
const UNNAMED: Kind = Kind::Block { named: Named::No };

const fn built(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Directive {
    row(path, kind, default, doc).built()
}

pub(super) static INGEST: &[Directive] = engine!(
    "vhost/ingest/engine",
    built,
    [
        row("vhost/ingest", NAMED, "", "A stream that is pulled in and published here.").built(),
        row("vhost/ingest/enabled", Switch, "off", "Whether it runs.").built(),
        row("vhost/ingest/input", UNNAMED, "", "Where it comes from.").built(),
        row(
            "vhost/ingest/input/type",
            Word(&["file", "stream"]),
            "file",
            "file plays files over and over at their own pace; stream pulls a URL.",
        )
        .built(),
        row("vhost/ingest/input/url", Texts, "", "The file's path, or several, played in turn; or the URL.").built(),
        row("vhost/ingest/on_demand", Switch, "off", "Start it with its first viewer only.").built().ours(),
        row(
            "vhost/ingest/linger",
            Float { min: 0.0, max: 86_400.0, unit: "s" },
            "10",
            "How long an ingest on demand goes on after its last viewer, in s.",
        )
        .built()
        .ours(),
        row(
            "vhost/ingest/stall",
            Float { min: 0.1, max: 86_400.0, unit: "s" },
            "10",
            "How long a server may bring nothing until the connection to it is given up, in s.",
        )
        .built()
        .ours(),
        row(
            "vhost/ingest/retry",
            Float { min: 0.1, max: 86_400.0, unit: "s" },
            "10",
            "The longest wait until what has failed is tried again, in s; the first is at most 0.5 s, each further one twice as long.",
        )
        .built()
        .ours(),
        row(
            "vhost/ingest/ffmpeg",
            Text,
            "",
            "The FFmpeg program, for what camrill doesn't read, send or change itself; the host runs it.",
        )
        .built(),
        row("vhost/ingest/engine", MAYBE_NAMED, "", "Where it is published, and how it is changed.").built(),
    ],
    row("vhost/ingest/engine/enabled", Switch, "off", "Whether it is changed; it is published either way.")
        .built(),
    row(
        "vhost/ingest/engine/output",
        Text,
        "",
        "Where it is published, with [vhost], [app], [stream], [engine] and [port]; here, as live and its name, when empty.",
    )
    .built()
);

pub(super) static TRANSCODE: &[Directive] = engine!(
    "vhost/transcode/engine",
    row,
    [
        row("vhost/transcode", MAYBE_NAMED, "", "Transcoding; the name may be an app, or app/stream.").many(),
        row("vhost/transcode/enabled", Switch, "off", "Whether it is done."),
        row("vhost/transcode/ffmpeg", Text, "", "The FFmpeg program."),
        row("vhost/transcode/engine", MAYBE_NAMED, "", "One output."),
    ],
    row("vhost/transcode/engine/enabled", Switch, "off", "Whether this output is made."),
    row("vhost/transcode/engine/output", Text, "", "RTMP URL that it is published to.")
);
