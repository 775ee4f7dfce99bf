//! A host of the engine: the engine under test on a thread of its own, in the process of the test.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{JoinHandle, ThreadId};
use std::time::Instant;

use camrill::engine::{Engine, Event, Remote, Role, Stats};

use super::PATIENCE;
use super::rtmp_client::Client;

type Job = Box<dyn FnOnce(&mut Engine) + Send>;
/// Looked at after each turn until it says that it is done.
type Watch = Box<dyn FnMut(&mut Engine) -> bool + Send>;

enum Order {
    Run(Job),
    Watch(Watch),
}

/// An engine that runs. Dropping it ends it.
pub(crate) struct Host {
    orders: Option<Sender<Order>>,
    events: Receiver<Event>,
    remote: Remote,
    address: SocketAddr,
    http: Option<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts an engine that listens on a port of its own; `config` is added to its configuration.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(&format!("listen 127.0.0.1:0; {config}"), |_| ())
    }

    /// Starts an engine with this configuration; `before` runs before it is applied.
    pub(crate) fn start_with(config: &str, before: impl FnOnce(&mut Engine)) -> Self {
        let mut engine = Engine::new().expect("an engine");
        engine.config_mut().load_text("test", config).expect("a sound configuration");
        before(&mut engine);
        engine.apply().expect("a configuration that can be applied");
        let address = engine.addresses().first().copied().unwrap_or(([127, 0, 0, 1], 0).into());
        let http = engine.addresses_of(|role| matches!(role, Role::Http { .. })).first().copied();
        let remote = engine.remote();
        let (orders, taken) = mpsc::channel();
        let (tell, events) = mpsc::channel();
        let thread = std::thread::spawn(move || turn_until_dropped(engine, &taken, &tell));
        Self { orders: Some(orders), events, remote, address, http, thread: Some(thread) }
    }

    /// Where RTMP is served.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where HTTP is served.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http.expect("an engine that serves HTTP")
    }

    /// The engine's thread.
    pub(crate) fn thread(&self) -> ThreadId {
        self.thread.as_ref().expect("an engine that runs").thread().id()
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Runs `job` on the engine's thread and answers what it does.
    #[track_caller]
    pub(crate) fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut Engine) -> R + Send + 'static) -> R {
        let (tell, answer) = mpsc::channel();
        self.order(Order::Run(Box::new(move |engine| {
            let _ = tell.send(job(engine));
        })));
        answer.recv_timeout(PATIENCE).expect("the engine answers")
    }

    /// Waits until `done` says so; it is looked at after each turn.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl FnMut(&mut Engine) -> bool + Send + 'static) {
        if self.watch(done).recv_timeout(PATIENCE).is_err() {
            panic!("never: {what}; {:?}", self.stats());
        }
    }

    /// Looks after each turn whether `done` says so, and then sends word.
    pub(crate) fn watch(&self, mut done: impl FnMut(&mut Engine) -> bool + Send + 'static) -> Receiver<()> {
        let (tell, answer) = mpsc::channel();
        self.order(Order::Watch(Box::new(move |engine| {
            let is_done = done(engine);
            if is_done {
                let _ = tell.send(());
            }
            is_done
        })));
        answer
    }

    pub(crate) fn stats(&self) -> Stats {
        self.run(|engine| engine.stats())
    }

    /// Waits for the next event for which `pick` has an answer; those before it are passed over.
    #[track_caller]
    pub(crate) fn event<R>(&self, mut pick: impl FnMut(Event) -> Option<R>) -> R {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    if let Some(answer) = pick(event) {
                        return answer;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("the event never came"),
                Err(RecvTimeoutError::Disconnected) => panic!("the engine has ended"),
            }
        }
    }

    /// The events that are there now.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }

    pub(crate) fn publish(&self, stream: &str) -> Client {
        Client::publish(self.address, "live", stream)
    }

    pub(crate) fn play(&self, stream: &str) -> Client {
        Client::play(self.address, "live", stream)
    }

    fn order(&self, order: Order) {
        let orders = self.orders.as_ref().expect("an engine that runs");
        orders.send(order).expect("an engine that runs");
        self.remote.wake().expect("the engine wakes");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.remote.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the engine's thread panicked");
        }
    }
}

fn turn_until_dropped(mut engine: Engine, orders: &Receiver<Order>, events: &Sender<Event>) {
    let mut watches: Vec<Watch> = Vec::new();
    loop {
        loop {
            match orders.try_recv() {
                Ok(Order::Run(job)) => job(&mut engine),
                Ok(Order::Watch(watch)) => watches.push(watch),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
        }
        while let Some(event) = engine.poll_event() {
            let _ = events.send(event);
        }
        watches.retain_mut(|watch| !watch(&mut engine));
        engine.turn(None).expect("a turn");
    }
}
