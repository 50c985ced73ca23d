//! A TCP proxy before an engine that notes what is asked for, and cuts connections.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The header that a proxy can hide.
const HEADER: &[u8] = b"Depthcast-Epoch";

/// What its threads share.
#[derive(Default)]
struct Shared {
    engine: Option<SocketAddr>,
    hides_epoch: bool,
    /// The targets of all requests, in order.
    targets: Vec<String>,
    /// Open connections, both ends.
    open: Vec<[TcpStream; 2]>,
}

/// A proxy on a port of its own. It serves until the test's process ends.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Proxy {
    /// One before this engine, which passes on all that it says, or leaves out which history it is in.
    pub fn start(engine: SocketAddr, hides_epoch: bool) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Shared {
            engine: Some(engine),
            hides_epoch,
            ..Shared::default()
        }));
        thread::spawn({
            let shared = shared.clone();
            move || {
                for client in listener.incoming().flatten() {
                    let shared = shared.clone();
                    thread::spawn(move || serve(client, &shared));
                }
            }
        });
        Proxy { address, shared }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on connections lead to this engine.
    pub fn lead_to(&self, engine: SocketAddr) {
        self.shared.lock().expect("the state").engine = Some(engine);
    }

    /// Cuts all connections without a word.
    pub fn cut(&self) {
        for stream in self.shared.lock().expect("the state").open.drain(..).flatten() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The targets so far that begin so.
    pub fn targets(&self, start: &str) -> Vec<String> {
        let targets = &self.shared.lock().expect("the state").targets;
        let found = targets.iter().filter(|target| target.starts_with(start));
        found.cloned().collect()
    }
}

/// Passes bytes on in both directions until one end is closed. Whatever fails here is a connection that ends.
fn serve(mut client: TcpStream, shared: &Mutex<Shared>) -> Option<()> {
    // A client sends its head in one piece, and an engine the head of its answer.
    let mut head = [0; 4096];
    let head_len = client.read(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head[..head_len]).into_owned();
    let target = text.split(' ').nth(1)?.to_owned();
    let (engine, hides_epoch) = {
        let mut shared = shared.lock().expect("the state");
        shared.targets.push(target);
        (shared.engine?, shared.hides_epoch)
    };
    let mut engine = TcpStream::connect(engine).ok()?;
    engine.write_all(&head[..head_len]).ok()?;
    let both = || Some([client.try_clone().ok()?, engine.try_clone().ok()?]);
    shared.lock().expect("the state").open.push(both()?);
    let [mut from_client, mut to_engine] = both()?;
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_engine);
        let _ = to_engine.shutdown(Shutdown::Both);
    });
    let answer_len = engine.read(&mut head).ok()?;
    let answer = &mut head[..answer_len];
    if hides_epoch && let Some(at) = answer.windows(HEADER.len()).position(|part| part == HEADER) {
        answer[at] = b'X';
    }
    client.write_all(answer).ok()?;
    let _ = std::io::copy(&mut engine, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    Some(())
}
