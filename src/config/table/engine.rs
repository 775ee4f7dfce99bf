//! Ingest, and transcoding by another program: the `engine` block is the same in both.

use super::{Directive, Kind, Named, count, row};
use Kind::{Free, Switch, Text, Word};

/// What an engine block at a path holds, beside `enabled` and `output`.
macro_rules! engine {
    ($path:literal, [$($first:expr),* $(,)?], $enabled:expr, $output:expr) => {
        &[
            $($first,)*
            $enabled,
            $output,
            row(concat!($path, "/perfile"), Free, "", "Arguments before the input."),
            row(concat!($path, "/iformat"), Text, "flv", "Format of the input."),
            row(concat!($path, "/vfilter"), Free, "", "Arguments for video filters."),
            row(concat!($path, "/vcodec"), Text, "", "Video codec; copy to leave it, vn to drop it."),
            row(concat!($path, "/vbitrate"), count("kbit/s"), "", "Video rate, in kbit/s."),
            row(concat!($path, "/vfps"), Kind::Float { min: 0.0, max: 1000.0, unit: "" }, "", "Frames per second."),
            row(concat!($path, "/vwidth"), count("pixels"), "", "Picture width, in pixels."),
            row(concat!($path, "/vheight"), count("pixels"), "", "Picture height, in pixels."),
            row(concat!($path, "/vthreads"), count(""), "", "Threads of the video encoder."),
            row(concat!($path, "/vprofile"), Text, "", "Profile of the video encoder."),
            row(concat!($path, "/vpreset"), Text, "", "Preset of the video encoder."),
            row(concat!($path, "/vparams"), Free, "", "More arguments for the video encoder."),
            row(concat!($path, "/acodec"), Text, "", "Audio codec; copy to leave it, an to drop it."),
            row(concat!($path, "/abitrate"), count("kbit/s"), "", "Audio rate, in kbit/s."),
            row(concat!($path, "/asample_rate"), count("Hz"), "", "Audio samples per second."),
            row(concat!($path, "/achannels"), count(""), "", "Audio channels."),
            row(concat!($path, "/aparams"), Free, "", "More arguments for the audio encoder."),
            row(concat!($path, "/oformat"), Text, "flv", "Format of the output."),
        ]
    };
}

const NAMED: Kind = Kind::Block { named: Named::Yes };
const MAYBE_NAMED: Kind = Kind::Block { named: Named::Maybe };
const UNNAMED: Kind = Kind::Block { named: Named::No };

pub(super) static INGEST: &[Directive] = engine!(
    "vhost/ingest/engine",
    [
        row("vhost/ingest", NAMED, "", "A stream that is pulled in and published here.").built(),
        row("vhost/ingest/enabled", Switch, "off", "Whether it runs.").built(),
        row("vhost/ingest/input", UNNAMED, "", "Where it comes from.").built(),
        row(
            "vhost/ingest/input/type",
            Word(&["file", "stream"]),
            "file",
            "file plays an FLV file over and over at its own pace; stream, a URL, is not built yet.",
        )
        .built(),
        row("vhost/ingest/input/url", Text, "", "The file's path, or the URL.").built(),
        row("vhost/ingest/ffmpeg", Text, "", "The FFmpeg program; camrill reads files itself."),
        row("vhost/ingest/engine", MAYBE_NAMED, "", "Where it is published, and how it is changed.").built(),
    ],
    row("vhost/ingest/engine/enabled", Switch, "off", "Whether it is changed; it is published either way.")
        .built(),
    row(
        "vhost/ingest/engine/output",
        Text,
        "",
        "RTMP URL on this server, with [vhost] and [port]; app live and the ingest's name when empty.",
    )
    .built()
);

pub(super) static TRANSCODE: &[Directive] = engine!(
    "vhost/transcode/engine",
    [
        row("vhost/transcode", MAYBE_NAMED, "", "Transcoding; the name may be an app, or app/stream.").many(),
        row("vhost/transcode/enabled", Switch, "off", "Whether it is done."),
        row("vhost/transcode/ffmpeg", Text, "", "The FFmpeg program."),
        row("vhost/transcode/engine", MAYBE_NAMED, "", "One output."),
    ],
    row("vhost/transcode/engine/enabled", Switch, "off", "Whether this output is made."),
    row("vhost/transcode/engine/output", Text, "", "RTMP URL that it is published to.")
);
