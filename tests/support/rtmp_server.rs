//! A small RTMP server that is published to, on blocking sockets: it does what a test tells it, also what no
//! honest server does.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use camrill::amf::Value;
use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::rtmp_client::Client;

/// A port that takes connections.
pub(crate) struct Server {
    address: SocketAddr,
    taken: Receiver<TcpStream>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), None)
    }

    /// One whose sockets hold but a little that nobody has read.
    pub(crate) fn narrow() -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), Some(8 * 1024))
    }

    /// At the address of one that has been dropped, once its connections have.
    pub(crate) fn again_at(address: SocketAddr) -> Self {
        Self::at(address, None)
    }

    fn at(address: SocketAddr, receive_buffer: Option<usize>) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("a socket option");
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).expect("a socket option");
        }
        socket.bind(&address.into()).expect("a free port");
        socket.listen(16).expect("a socket that listens");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("an address");
        let (tell, taken) = mpsc::channel();
        std::thread::spawn(move || {
            // Ends with the first connection after whoever asks for them has gone.
            while let Ok((socket, _)) = listener.accept() {
                if tell.send(socket).is_err() {
                    return;
                }
            }
        });
        Self { address, taken }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, stream: &str) -> String {
        format!("rtmp://{}/live/{stream}", self.address)
    }

    /// The next connection, which has sent nothing yet.
    #[track_caller]
    pub(crate) fn socket(&self) -> TcpStream {
        self.taken.recv_timeout(PATIENCE).expect("a connection in time")
    }

    /// Whether none has come by now.
    pub(crate) fn is_quiet(&self) -> bool {
        self.taken.try_recv().is_err()
    }

    /// The next connection, its connect command and what that carries.
    #[track_caller]
    pub(crate) fn connect(&self) -> (Client, Value) {
        let mut client = Client::taken(self.socket());
        let command = client.wait_command("connect");
        (client, command[2].clone())
    }

    /// The next connection, which has been let in to publish, and the name under which it does.
    #[track_caller]
    pub(crate) fn publish(&self) -> (Client, String) {
        let (mut client, name) = self.asked_to_publish();
        client.status_to(1, "status", "NetStream.Publish.Start", "go on");
        (client, name)
    }

    /// The next connection, which has asked to publish and waits, and the name under which it would.
    #[track_caller]
    pub(crate) fn asked_to_publish(&self) -> (Client, String) {
        let (mut client, _) = self.connect();
        client.result(1.0, status("status", "NetConnection.Connect.Success", "welcome"));
        let create = client.wait_command("createStream");
        let transaction = create[1].as_f64().expect("a number");
        client.result(transaction, Value::Number(1.0));
        let publish = client.wait_command("publish");
        let name = publish[3].as_str().expect("a stream's name").to_owned();
        (client, name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The listener's thread sees that it is no longer wanted.
        let (_, nobody) = mpsc::channel();
        self.taken = nobody;
        let _ = TcpStream::connect(self.address);
    }
}

/// An info object.
pub(crate) fn status(level: &str, code: &str, description: &str) -> Value {
    let of = |name: &str, value: &str| (name.to_owned(), Value::from(value));
    Value::Object(vec![of("level", level), of("code", code), of("description", description)])
}

/// The server's side of a connection.
impl Client {
    /// The client's next command of that name; others are passed over.
    #[track_caller]
    pub(crate) fn wait_command(&mut self, name: &str) -> Vec<Value> {
        loop {
            let command = self.command_from_server().unwrap_or_else(|| panic!("closed before {name}"));
            if command[0].as_str() == Some(name) {
                return command;
            }
        }
    }

    pub(crate) fn result(&mut self, transaction: f64, argument: Value) {
        self.answer("_result", transaction, 0, argument);
    }

    pub(crate) fn error(&mut self, transaction: f64, argument: Value) {
        self.answer("_error", transaction, 0, argument);
    }

    pub(crate) fn status_to(&mut self, stream: u32, level: &str, code: &str, description: &str) {
        self.answer("onStatus", 0.0, stream, status(level, code, description));
    }

    pub(crate) fn answer(&mut self, name: &str, transaction: f64, stream: u32, argument: Value) {
        let body = super::rtmp_client::command(name, transaction, &[Value::Null, argument]);
        self.message(3, 0, camrill::rtmp::message::type_id::COMMAND_AMF0, stream, &body);
    }
}
