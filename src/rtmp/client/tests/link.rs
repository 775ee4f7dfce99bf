//! A client and our own server, joined in memory.

use super::*;
use crate::rtmp::server::{ConnectOptions, PublishOptions};

pub(super) struct Link {
    pub(super) client: Session,
    pub(super) server: server::Session,
    /// How what is sent is cut.
    splits: Vec<usize>,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    pub(super) sent_to_client: u64,
    pub(super) events: Vec<Event>,
    pub(super) error: Option<Error>,
    pub(super) closed: bool,
    /// What the server's host was asked for.
    pub(super) asked: Vec<String>,
    /// What it refuses.
    pub(super) refuses: &'static str,
    /// What was published.
    pub(super) arrived: Vec<Frame>,
    pub(super) server_said: Vec<String>,
}

impl Link {
    pub(super) fn new(options: Options, splits: &[usize]) -> Self {
        Self {
            client: Session::new(Time::ZERO, 5, options),
            server: server::Session::new(Time::ZERO, 6, Duration::from_secs(10)),
            splits: splits.to_vec(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            sent_to_client: 0,
            events: Vec::new(),
            error: None,
            closed: false,
            asked: Vec::new(),
            refuses: "",
            arrived: Vec::new(),
            server_said: Vec::new(),
        }
    }

    /// Carries what both say to the other, until neither says anything.
    pub(super) fn run(&mut self) {
        loop {
            self.drain();
            if self.to_client.is_empty() && self.to_server.is_empty() {
                return;
            }
            let (client, server) = (std::mem::take(&mut self.to_client), std::mem::take(&mut self.to_server));
            self.sent_to_client += client.len() as u64;
            for mut piece in pieces(&client, &self.splits.clone()) {
                while self.error.is_none() && (!piece.is_empty() || self.client.has_more()) {
                    self.error = self.client.handle_input(Time::ZERO, &mut piece).err();
                    self.drain();
                }
            }
            for mut piece in pieces(&server, &self.splits.clone()) {
                while !piece.is_empty() || self.server.has_more() {
                    self.server.handle_input(Time::ZERO, &mut piece).unwrap();
                    self.drain();
                }
            }
        }
    }

    pub(super) fn tell_client(&mut self, bytes: &[u8]) {
        self.to_client.extend_from_slice(bytes);
    }

    pub(super) fn tell_server(&mut self, bytes: &[u8]) {
        self.to_server.extend_from_slice(bytes);
    }

    pub(super) fn said(&self) -> Vec<String> {
        self.events.iter().map(script::name).collect()
    }

    pub(super) fn frames(&self) -> Vec<Frame> {
        let frame = |event: &Event| match event {
            Event::Frame { frame, .. } => Some(frame.clone()),
            _ => None,
        };
        self.events.iter().filter_map(frame).collect()
    }

    fn drain(&mut self) {
        loop {
            match self.client.poll_output() {
                Output::Transmit(bytes) => self.to_server.extend_from_slice(&bytes),
                Output::Event(event) => self.events.push(event),
                Output::Close => {
                    self.closed = true;
                    break;
                }
                Output::Timeout(at) => {
                    assert_eq!(at, self.client.timeout());
                    break;
                }
            }
        }
        loop {
            match self.server.poll_output() {
                server::Output::Transmit(bytes) => self.to_client.extend_from_slice(&bytes),
                server::Output::Event(event) => self.host(event),
                server::Output::Close | server::Output::Timeout(_) => return,
            }
        }
    }

    fn host(&mut self, event: server::Event) {
        let what = match &event {
            server::Event::Connect(request) => {
                self.asked.push(format!("connect {}@{}", request.name.app, request.name.vhost));
                "connect"
            }
            server::Event::Publish(request) | server::Event::Play(request) => {
                let what = if matches!(event, server::Event::Publish(_)) { "publish" } else { "play" };
                let name = &request.name;
                self.asked.push(format!("{what} {}/{}?{}", name.app, name.stream, name.param));
                what
            }
            server::Event::Frame { frame, .. } => return self.arrived.push(frame.clone()),
            server::Event::Unpublish { .. } => return self.server_said.push("Unpublish".to_owned()),
            server::Event::Stop { .. } => return self.server_said.push("Stop".to_owned()),
            other => panic!("{other:?}"),
        };
        if what == self.refuses {
            return self.server.refuse("not today");
        }
        match what {
            "connect" => {
                let options = ConnectOptions { chunk_size: 4096, in_ack_size: 0, out_ack_size: 2000 };
                self.server.accept_connect(Time::ZERO, &options);
            }
            "publish" => {
                let second = Duration::from_secs(1);
                self.server.accept_publish(Time::ZERO, PublishOptions { first: second, normal: second });
            }
            _ => self.server.accept_play(),
        }
    }
}

fn pieces<'a>(bytes: &'a [u8], splits: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut all, mut splits) = (bytes, Vec::new(), splits.iter().cycle());
    while !rest.is_empty() {
        let (head, tail) = rest.split_at((*splits.next().unwrap()).clamp(1, rest.len()));
        all.push(head);
        rest = tail;
    }
    all
}
