//! Recordings that the host writes, to wherever it likes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camrill::engine::{DvrOptions, FileAnswer, FileJob};

use super::disks::second;
use super::support::flv;
use super::support::rtmp_client::Media;
use super::*;

/// A host's files, in memory.
#[derive(Default)]
struct Files {
    /// Whose they are.
    recorder: u32,
    /// By number: their names, what is in them, and whether they were closed, complete or not.
    files: BTreeMap<u32, (String, Vec<u8>, Option<bool>)>,
    closed: Vec<(PathBuf, i64, u64)>,
    dropped: usize,
    is_over: bool,
}

impl Files {
    /// A recorder of `live/cam`.
    fn record(host: &Host, dvr: &str) -> Self {
        let settings = settings(dvr);
        let options = DvrOptions { stream: Some(name_of("cam")), settings, by_host: true };
        Self { recorder: host.run(|engine| engine.dvr_open(options)).unwrap(), ..Self::default() }
    }

    /// Does what the recorder asks for, and answers.
    fn take(&mut self, host: &Host, event: &Event) {
        match event {
            Event::RecorderFile { recorder, job } if *recorder == self.recorder => {
                self.obey(job);
                let id = self.recorder;
                host.run(move |engine| engine.dvr_done(id, FileAnswer::Done)).unwrap();
            }
            Event::Recording { recorder, path, news, .. } if *recorder == self.recorder => match news {
                DvrNews::Opened => {}
                DvrNews::Closed { duration_us, bytes } => {
                    self.closed.push((path.into(), *duration_us, *bytes));
                }
                DvrNews::Dropped(frames) => self.dropped += *frames as usize,
                DvrNews::Failed(why) => panic!("{why}"),
            },
            Event::RecorderEnded { recorder } => self.is_over |= *recorder == self.recorder,
            _ => {}
        }
    }

    fn obey(&mut self, job: &FileJob) {
        match job {
            FileJob::Open { file, path } => {
                assert!(self.files.insert(*file, (path.clone(), Vec::new(), None)).is_none());
            }
            FileJob::Write { file, offset, bytes } => {
                let (_, content, closed) = self.files.get_mut(file).unwrap();
                let at = *offset as usize;
                assert!(closed.is_none() && at <= content.len(), "no holes");
                content.resize(content.len().max(at + bytes.len()), 0);
                content[at..at + bytes.len()].copy_from_slice(bytes);
            }
            FileJob::Close { file, complete } => {
                assert_eq!(self.files.get_mut(file).unwrap().2.replace(*complete), None);
            }
        }
    }
}

#[test]
fn a_hosts_files_are_what_the_disk_would_have() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 8);
    for (suffix, more) in
        [("flv", "dvr_index on; dvr_autostart off; dvr_preroll 3;"), ("mp4", "dvr_fragment 1;")]
    {
        let path = dir.join(&format!("[seq].{suffix}"));
        let dvr = format!("dvr_plan segment; dvr_duration 2; dvr_path {}; {more}", text(&path));
        let host = recording(&dvr);
        let mut own = Files::record(&host, &dvr);
        let publisher = clients::publish_live(&clip, &url(&host, "cam"));
        let recorder = own.recorder;
        host.until("some seconds are there", move |engine| {
            let is_there = engine.streams().first().is_some_and(|s| s.video_frames > 90);
            if is_there {
                let vhost = engine.dvr_find(&name_of("cam")).unwrap();
                engine.dvr_start(vhost).unwrap();
                engine.dvr_start(recorder).unwrap();
            }
            is_there
        });
        publisher.finish();
        let (mut on_disk, mut is_written) = (Vec::new(), false);
        while !is_written || own.closed.len() < on_disk.len() {
            let event = host.event(Some);
            match &event {
                Event::Recording {
                    recorder: id, path, news: DvrNews::Closed { duration_us, bytes }, ..
                } if *id != recorder => on_disk.push((PathBuf::from(path), *duration_us, *bytes)),
                Event::RecorderEnded { recorder: id } => is_written |= *id != recorder,
                _ => {}
            }
            own.take(&host, &event);
        }
        assert!(on_disk.len() > 2, "{on_disk:?}");
        assert_eq!(own.closed, on_disk);
        for (file, (path, ..)) in own.files.values().zip(&on_disk) {
            assert_eq!((Path::new(&file.0), file.2), (path.as_path(), Some(true)));
            assert!(file.1 == std::fs::read(path).unwrap(), "{}", path.display());
        }
        host.run(move |engine| engine.dvr_close(recorder)).unwrap();
        while !own.is_over {
            own.take(&host, &host.event(Some));
        }
        assert_eq!((own.files.len(), own.dropped), (on_disk.len(), 0));
    }
}

#[test]
fn a_host_that_takes_its_time_loses_what_it_is_told_and_holds_nobody_up() {
    let host = Host::start("");
    let mut own = Files::record(&host, "dvr_path a.flv;");
    let mut client = host.publish("cam");
    client.send(&Media::video_header(0, 1));
    let mut player = host.play("cam");
    let mut sent = Vec::new();
    // 20 MB while it answers nothing: far more than the recorder holds.
    for n in 0..40 {
        let frames = second(n, 20_000);
        client.send_all(&frames);
        let asked = Instant::now();
        let came = player.until(frames.last().unwrap());
        assert!(asked.elapsed() < Duration::from_secs(2), "the player waited for the sink");
        let came = came.into_iter().filter(|m| m.is_video() && !m.is_video_header());
        assert!(came.eq(frames.iter().cloned()));
        sent.extend(frames);
    }
    assert!(host.stats().media_bytes < 16 << 20, "{}", host.stats().media_bytes);
    // It answers: what was held is written, what was not is told, and then all is recorded again.
    let mut n = 40;
    while own.dropped == 0 {
        assert!(n < 1000, "nothing was told");
        let frames = second(n, 1000);
        client.send_all(&frames);
        client.sync();
        sent.extend(frames);
        n += 1;
        for event in host.events() {
            own.take(&host, &event);
        }
    }
    let frames = second(n, 1000);
    client.send_all(&frames);
    sent.extend(frames);
    client.close();
    while own.closed.is_empty() {
        own.take(&host, &host.event(Some));
    }
    let mut parser = flv::Parser::default();
    let (_, content, complete) = &own.files[&0];
    assert_eq!((own.files.len(), *complete), (1, Some(true)));
    let frames = flv::frames(&parser.feed(content));
    assert_eq!(frames.len() + own.dropped, sent.len(), "each frame that is not there was told");
    let holes: Vec<_> = frames.windows(2).filter(|pair| pair[1].time - pair[0].time != 40).collect();
    assert!(holes.len() == 1 && holes[0][1].is_video_key(), "{holes:?}");
    let held = frames.iter().take_while(|tag| tag.time < holes[0][1].time).count() * 20_000;
    assert!((3 << 20..6 << 20).contains(&held), "{held} bytes were held");
    for tag in &frames {
        assert!(sent.iter().any(|media| media.1 == tag.time && media.2 == tag.body));
    }
}

#[test]
fn what_needs_the_disk_is_refused() {
    let host = Host::start("");
    for (dvr, why) in [
        ("dvr_plan append;", "append"),
        ("dvr_faststart on;", "faststart"),
        ("dvr_timeshift on;", "time shift"),
        ("dvr_max_age 1;", "max_age"),
        ("dvr_max_bytes 1;", "max_bytes"),
    ] {
        let options = DvrOptions { stream: None, settings: settings(dvr), by_host: true };
        let refused = host.run(|engine| engine.dvr_open(options)).unwrap_err();
        assert!(refused.message().contains(why), "{refused}");
    }
    let settings = settings("");
    let id =
        host.run(|engine| engine.dvr_open(DvrOptions { stream: None, settings, by_host: true })).unwrap();
    let unasked = host.run(move |engine| engine.dvr_done(id, FileAnswer::Done)).unwrap_err();
    assert_eq!(unasked.message(), "the recorder has asked for nothing");
}
