//! The memory of what has arrived in part: the head of a request, or a message. One pool for all connections of a worker,
//! with a bound: a connection that waits for nothing owns no buffer, and whoever comes when all is lent is told so and closed,
//! while nobody else notices.

use depthcast_wire::ws::{MessageReader, Role};

/// Bytes of buffers that are lent at a time: the first bytes of 90,000 requests, or of messages three of `/echo` at their
/// longest, or 750 of subscribers. What one read makes a message grow by may be above it until the message is refused, which
/// is at once.
pub const BUFFER_BYTES_MAX: usize = 64 << 20;

/// Of each so many bytes one is for heads alone: whoever is here already cannot keep others out with messages that they begin
/// and do not end.
const FOR_HEADS: usize = 4;

/// Buffers that are kept to be lent again.
const SPARE_MAX: usize = 16;

/// Bytes that a buffer may have to be kept: those of a usual head or request.
const SPARE_BYTES_MAX: usize = 4096;

/// Bytes that a buffer has at least: a usual head comes in two pieces without making it grow.
const BUFFER_BYTES_MIN: usize = 512;

/// Bytes that the reader of whole messages may keep: twice what is read from a connection at a time.
const READER_BYTES_MAX: usize = 128 * 1024;

/// All that may be lent is lent: it is no fault of the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's memory for messages that have arrived in part is full: try again later")]
pub(super) struct NoBuffer;

/// What has arrived in part. Goes back to its [`Buffers`] in the end, whatever that is: dropping it would count it as lent
/// for ever.
#[derive(Debug)]
pub(super) struct Partial {
    content: Content,
    /// The bytes that it is counted as lent with.
    counted: usize,
    /// The tick at which the message that it is part of began.
    began: u32,
}

#[derive(Debug)]
enum Content {
    Head(Vec<u8>),
    Message(MessageReader),
}

impl Partial {
    /// Of the head of a request, all that has arrived; of a message nothing.
    pub(super) fn head(&self) -> &[u8] {
        match &self.content {
            Content::Head(head) => head,
            Content::Message(_) => &[],
        }
    }

    /// The reader of the message. None of a head.
    pub(super) fn reader_mut(&mut self) -> Option<&mut MessageReader> {
        match &mut self.content {
            Content::Head(_) => None,
            Content::Message(reader) => Some(reader),
        }
    }

    /// Since which tick its message has been arriving. Of a head it says nothing: those have a deadline of their own.
    pub(super) fn began(&self) -> u32 {
        self.began
    }

    /// What is here now is of another message, that began at tick `now`.
    pub(super) fn begin(&mut self, now: u32) {
        self.began = now;
    }

    fn capacity(&self) -> usize {
        match &self.content {
            Content::Head(head) => head.capacity(),
            Content::Message(reader) => reader.capacity(),
        }
    }

    /// Takes the memory out.
    fn take_buffer(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.content, Content::Head(Vec::new())) {
            Content::Head(mut head) => {
                head.clear();
                head
            }
            Content::Message(reader) => reader.into_buffer(),
        }
    }
}

/// The buffers of one worker.
#[derive(Debug)]
pub struct Buffers {
    bytes_max: usize,
    /// Bytes of all that is lent: the sum of what each [`Partial`] outside is counted with.
    bytes_lent: usize,
    /// To be lent again; at most [`SPARE_MAX`], of at most [`SPARE_BYTES_MAX`] each.
    #[expect(clippy::vec_box, reason = "the boxes are what is lent again")]
    spare: Vec<Box<Partial>>,
    /// Reads what arrives whole, for one connection after the other. None while it does.
    reader: Option<Box<MessageReader>>,
}

impl Buffers {
    /// Buffers of which up to `bytes_max` bytes are lent at a time.
    pub fn new(bytes_max: usize) -> Buffers {
        Buffers {
            bytes_max,
            bytes_lent: 0,
            spare: Vec::with_capacity(SPARE_MAX),
            reader: None,
        }
    }

    /// Bytes that are lent.
    pub fn bytes_lent(&self) -> usize {
        self.bytes_lent
    }

    /// Puts `more` behind what has arrived of a head, which `held` is if it is not the first of it. Without room `held` is
    /// given back.
    pub(super) fn keep_head(
        &mut self,
        held: Option<Box<Partial>>,
        more: &[u8],
    ) -> Result<Box<Partial>, NoBuffer> {
        let partial = held.unwrap_or_else(|| self.take());
        let capacity = partial.capacity();
        let needed = partial.head().len() + more.len();
        let capacity = if needed <= capacity {
            capacity
        } else {
            needed.max(2 * capacity).max(BUFFER_BYTES_MIN)
        };
        let mut partial = self.count(partial, capacity, self.bytes_max)?;
        if let Content::Head(head) = &mut partial.content {
            head.reserve_exact(capacity - head.len());
            head.extend_from_slice(more);
        }
        Ok(partial)
    }

    /// Keeps what `reader` holds of a message that began at tick `now`.
    pub(super) fn keep_message(
        &mut self,
        reader: &MessageReader,
        now: u32,
    ) -> Result<Box<Partial>, NoBuffer> {
        let partial = self.take();
        let capacity = partial.capacity().max(reader.held_len());
        let mut partial = self.count(partial, capacity, self.messages_max())?;
        let mut own = MessageReader::with_buffer(Role::Server, 0, partial.take_buffer());
        own.take_over(reader);
        partial.content = Content::Message(own);
        partial.begin(now);
        Ok(partial)
    }

    /// Counts a message anew that has read on. Without room it is given back.
    pub(super) fn recount(&mut self, partial: Box<Partial>) -> Result<Box<Partial>, NoBuffer> {
        let capacity = partial.capacity();
        self.count(partial, capacity, self.messages_max())
    }

    fn messages_max(&self) -> usize {
        self.bytes_max - self.bytes_max / FOR_HEADS
    }

    /// What arrived in part is whole, or is not waited for any more.
    pub(super) fn give_back(&mut self, mut partial: Box<Partial>) {
        self.bytes_lent -= std::mem::take(&mut partial.counted);
        if self.spare.len() < SPARE_MAX && partial.capacity() <= SPARE_BYTES_MAX {
            let buffer = partial.take_buffer();
            partial.content = Content::Head(buffer);
            self.spare.push(partial);
        }
    }

    /// Lends the reader of what arrives whole, which is to be given back behind each read.
    pub(super) fn lend_reader(&mut self, message_bytes_max: usize) -> Box<MessageReader> {
        let mut reader = self
            .reader
            .take()
            .unwrap_or_else(|| Box::new(MessageReader::new(Role::Server, 0)));
        reader.reset(message_bytes_max);
        reader
    }

    /// See [`Buffers::lend_reader`].
    pub(super) fn give_back_reader(&mut self, reader: Box<MessageReader>) {
        if reader.capacity() <= READER_BYTES_MAX {
            self.reader = Some(reader);
        }
    }

    /// A buffer that holds nothing, and is not counted yet.
    fn take(&mut self) -> Box<Partial> {
        self.spare.pop().unwrap_or_else(|| {
            Box::new(Partial {
                content: Content::Head(Vec::new()),
                counted: 0,
                began: 0,
            })
        })
    }

    /// Counts a buffer as one of `capacity` bytes, where not more than `bytes_max` are lent by that. Else it is given back.
    fn count(
        &mut self,
        mut partial: Box<Partial>,
        capacity: usize,
        bytes_max: usize,
    ) -> Result<Box<Partial>, NoBuffer> {
        let bytes = size_of::<Partial>() + capacity;
        let lent = self.bytes_lent - partial.counted + bytes;
        if lent > bytes_max {
            self.give_back(partial);
            return Err(NoBuffer);
        }
        self.bytes_lent = lent;
        partial.counted = bytes;
        Ok(partial)
    }
}

impl Default for Buffers {
    /// With the bound of an engine, [`BUFFER_BYTES_MAX`].
    fn default() -> Buffers {
        Buffers::new(BUFFER_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use depthcast_wire::ws::{Opcode, write_frame};

    use super::*;

    #[test]
    fn what_is_lent_is_counted_until_it_is_given_back() {
        let mut buffers = Buffers::new(2000);
        let head = buffers.keep_head(None, b"GET /").unwrap();
        assert_eq!(buffers.bytes_lent(), size_of::<Partial>() + BUFFER_BYTES_MIN);
        let head = buffers.keep_head(Some(head), &[b'x'; 600]).unwrap();
        assert_eq!((head.head().len(), head.capacity()), (605, 1024));
        assert_eq!(buffers.bytes_lent(), size_of::<Partial>() + 1024);
        assert_eq!(buffers.keep_head(None, &[0; 1000]).unwrap_err(), NoBuffer);
        assert_eq!(
            buffers.bytes_lent(),
            size_of::<Partial>() + 1024,
            "the other is as it was"
        );
        assert_eq!(buffers.keep_head(Some(head), &[0; 2000]).unwrap_err(), NoBuffer);
        assert_eq!(
            buffers.bytes_lent(),
            0,
            "what would have grown too long is given back"
        );
    }

    #[test]
    fn few_buffers_are_kept_and_none_that_has_grown_long() {
        let mut buffers = Buffers::default();
        let lent: Vec<_> = (0..SPARE_MAX + 5)
            .map(|_| buffers.keep_head(None, b"GET /").unwrap())
            .collect();
        let long = buffers.keep_head(None, &[0; SPARE_BYTES_MAX + 1]).unwrap();
        buffers.give_back(long);
        assert!(buffers.spare.is_empty());
        lent.into_iter().for_each(|partial| buffers.give_back(partial));
        assert_eq!((buffers.spare.len(), buffers.bytes_lent()), (SPARE_MAX, 0));
        let again = buffers.keep_head(None, b"").unwrap();
        assert!(again.head().is_empty(), "nothing of what another peer said");
    }

    #[test]
    fn a_message_goes_on_in_memory_of_its_own() {
        let mut frame = Vec::new();
        write_frame(&mut frame, Opcode::Text, &[b'a'; 100], Some([1, 2, 3, 4]));
        let mut buffers = Buffers::default();
        let mut reader = buffers.lend_reader(1000);
        assert_eq!(reader.next(&mut &frame[..60]), Ok(None));
        let mut partial = buffers.keep_message(&reader, 7).unwrap();
        assert_eq!(partial.began(), 7);
        buffers.give_back_reader(reader);
        let lent = buffers.lend_reader(1000);
        assert!(lent.is_idle() && lent.capacity() > 0);
        let own = partial.reader_mut().unwrap();
        assert_eq!(own.capacity(), 54, "what has arrived of the payload");
        let whole = own.next(&mut &frame[60..]).unwrap();
        assert_eq!(whole, Some(depthcast_wire::ws::Incoming::Text(&"a".repeat(100))));
        let partial = buffers.recount(partial).unwrap();
        assert!(buffers.bytes_lent() >= size_of::<Partial>() + 100);
        buffers.give_back(partial);
        assert_eq!(buffers.bytes_lent(), 0);
    }

    #[test]
    fn begun_messages_leave_room_for_heads() {
        let mut frame = Vec::new();
        write_frame(&mut frame, Opcode::Text, &[b'a'; 1000], Some([1, 2, 3, 4]));
        let mut buffers = Buffers::new(8000);
        let mut reader = buffers.lend_reader(1000);
        assert_eq!(reader.next(&mut &frame[..frame.len() - 1]), Ok(None));
        let kept: Vec<_> = (0..8)
            .map_while(|_| buffers.keep_message(&reader, 0).ok())
            .collect();
        assert_eq!(kept.len(), 5, "those that three quarters have room for");
        let head = buffers.keep_head(None, &[b'x'; 1000]).unwrap();
        kept.into_iter()
            .chain([head])
            .for_each(|partial| buffers.give_back(partial));
        assert_eq!(buffers.bytes_lent(), 0);
    }
}
