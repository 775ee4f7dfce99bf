//! Files of the web server's folder, read piece by piece as the socket takes them.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};
use log::warn;

use super::super::Engine;
use super::{Request, Source};
use crate::flv::{self, file};
use crate::http::conditional::Validators;
use crate::http::range::{self, Range};
use crate::http::{Body, Method, Response, mime, path};
use crate::media::{Kind, Role};
use crate::time::Time;

/// Bytes read at a time: what the loop waits for a disk, at most.
const PIECE: usize = 64 * 1024;
/// Bytes of an FLV file's beginning in which its headers are looked for.
const FLV_HEADERS: u64 = 1024 * 1024;

/// What of a file is still to be sent.
#[derive(Debug)]
pub(in crate::engine) struct FileBody {
    file: File,
    left: u64,
}

impl FileBody {
    /// The next piece, empty at the end.
    fn read(&mut self) -> std::io::Result<Bytes> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
        let mut piece = BytesMut::zeroed(want);
        let n = self.file.read(&mut piece)?;
        piece.truncate(n);
        self.left -= n as u64;
        Ok(piece.freeze())
    }
}

impl Engine {
    /// Whether the path is a file's in the web server's folder.
    pub(super) fn file(&mut self, now: Time, id: u32, request: &Request) -> bool {
        let Some(server) = &self.settings.http_server else { return false };
        let Some(found) = locate(&server.dir, &request.path) else { return false };
        self.send_file(now, id, request, &found);
        true
    }

    /// Answers with a file, whole or in part.
    pub(super) fn send_file(&mut self, now: Time, id: u32, request: &Request, path: &Path) {
        if !matches!(request.method, Method::Get | Method::Head) {
            self.answer_text(id, 405, "a file is there to GET");
            return;
        }
        let (mut file, len, modified) = match open(path) {
            Ok(opened) => opened,
            Err(e) => {
                warn!(id = id; "{}: {e}", path.display());
                self.answer_text(id, 404, "the file cannot be read");
                return;
            }
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut response = Response::new(200);
        response.headers.push("Content-Type", mime::of(name));
        let validators = Validators::new(modified, len);
        if let Some(start) = start_of_flv(request, name) {
            self.send_flv_from(now, id, response, file, start, len);
            return;
        }
        validators.write(&mut response.headers);
        response.headers.push("Accept-Ranges", "bytes");
        if validators.not_modified(request) {
            response.status = 304;
            self.respond(now, id, response);
            return;
        }
        let (offset, left) = match validators.range(request) {
            Range::Whole => (0, len),
            Range::Part { offset, len: part } => {
                response.status = 206;
                response.headers.push("Content-Range", &range::content_range(offset, part, len));
                (offset, part)
            }
            Range::Unsatisfiable => {
                response.status = 416;
                response.headers.push("Content-Range", &range::content_range_unsatisfiable(len));
                response.body = Body::None;
                self.respond(now, id, response);
                return;
            }
        };
        if let Err(e) = file.seek(SeekFrom::Start(offset)) {
            warn!(id = id; "{}: {e}", path.display());
            self.answer_text(id, 500, "the file cannot be read");
            return;
        }
        response.body = Body::Length(left);
        if self.respond(now, id, response) {
            self.give(id, Source::File(FileBody { file, left }));
        }
    }

    /// A part of an FLV file that plays: what stands at its beginning, and then from the byte `start` on,
    /// which the file's index of keyframes names.
    fn send_flv_from(
        &mut self,
        now: Time,
        id: u32,
        mut response: Response,
        mut file: File,
        start: u64,
        len: u64,
    ) {
        let head = flv_headers(&mut file);
        let seek = file.seek(SeekFrom::Start(start.min(len)));
        let (Ok(head), Ok(_)) = (head, seek) else {
            self.answer_text(id, 404, "not an FLV file");
            return;
        };
        let left = len.saturating_sub(start);
        response.body = Body::Length(left.saturating_add(head.len() as u64));
        if self.respond(now, id, response)
            && let Some(web) = self.conns.find_mut(id).and_then(|conn| conn.session.web())
        {
            web.session.body(head);
            self.give(id, Source::File(FileBody { file, left }));
        }
    }

    pub(super) fn give(&mut self, id: u32, source: Source) {
        if let Some(web) = self.conns.find_mut(id).and_then(|conn| conn.session.web()) {
            web.source = source;
            self.queue(id);
        }
    }

    /// The socket has taken what there was: gives it the next piece of a file, or asks the host for more.
    /// Answers whether there was a piece.
    pub(in crate::engine) fn pump(&mut self, now: Time, id: u32) -> bool {
        let Some(web) = self.conns.find_mut(id).and_then(|conn| conn.session.web()) else { return false };
        let Source::File(body) = &mut web.source else {
            self.tell_writable(id);
            return false;
        };
        match body.read() {
            Ok(piece) if piece.is_empty() => {
                // Also where the file has become shorter: the session closes then.
                web.source = Source::None;
                web.session.end(now);
            }
            Ok(piece) => web.session.body(piece),
            Err(e) => {
                self.doom(id, &format!("reading a file: {e}"));
                return false;
            }
        }
        self.drain(now, id);
        true
    }
}

/// The file that a path means in a folder, links resolved: nothing that lies outside.
pub(super) fn locate(dir: &str, request: &str) -> Option<PathBuf> {
    if dir.is_empty() {
        return None;
    }
    let relative = path::beneath(request)?;
    let root = fs::canonicalize(dir).ok()?;
    let mut found = root.join(relative);
    if relative.is_empty() || relative.ends_with('/') {
        found.push("index.html");
    }
    let found = fs::canonicalize(found).ok()?;
    let found = if found.is_dir() { fs::canonicalize(found.join("index.html")).ok()? } else { found };
    // Anything but a regular file could keep the loop waiting.
    (found.starts_with(&root) && found.is_file()).then_some(found)
}

/// The file with its length and when it was changed, in seconds since 1970.
fn open(path: &Path) -> std::io::Result<(File, u64, u64)> {
    let file = File::open(path)?;
    let data = file.metadata()?;
    let modified = data.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Ok((file, data.len(), modified.map_or(0, |since| since.as_secs())))
}

/// Where `?start=` asks an FLV file to begin.
fn start_of_flv(request: &Request, name: &str) -> Option<u64> {
    if !name.ends_with(".flv") {
        return None;
    }
    request.query_value("start")?.parse().ok().filter(|start| *start > 0)
}

/// An FLV file's header, metadata and sequence headers.
fn flv_headers(file: &mut File) -> std::io::Result<Bytes> {
    let invalid =
        |e: crate::wire::Malformed| std::io::Error::new(std::io::ErrorKind::InvalidData, e.to_string());
    file.seek(SeekFrom::Start(0))?;
    let mut reader = file.take(FLV_HEADERS);
    let mut demuxer = file::Demuxer::new();
    let mut tags = BytesMut::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut done = false;
    while !done {
        let n = reader.read(&mut buffer)?;
        let mut input = buffer.get(..n).unwrap_or_default();
        done = n == 0;
        while let Some(tag) = demuxer.handle_input(&mut input).map_err(invalid)? {
            match flv::frame(tag.kind, 0, tag.body.clone()) {
                Ok(frame) if frame.role == Role::Header || tag.kind == Kind::Data => {
                    file::tag(tag.kind, 0, &tag.body.into(), &mut tags).map_err(invalid)?;
                }
                Ok(frame) if frame.role == Role::Mark => {}
                _ => {
                    done = true;
                    break;
                }
            }
        }
    }
    let (audio, video) = (demuxer.has_audio(), demuxer.has_video());
    let (Some(audio), Some(video)) = (audio, video) else {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "no FLV header"));
    };
    let mut out = BytesMut::from(&file::header(audio, video)[..]);
    out.unsplit(tags);
    Ok(out.freeze())
}
