//! Copies between a device and memory of the process, through two pieces of pinned memory in turn: while the device copies one, the
//! processor fills or empties the other.

use super::driver::{Entered, Event, Outcome, Pinned, Stream};

/// Bytes of a piece.
pub(super) const PIECE_BYTES: usize = 4 << 20;

/// The two pieces of a queue.
#[derive(Debug)]
pub(super) struct Staging {
    pieces: [Piece; 2],
    /// Which is next.
    turn: usize,
}

#[derive(Debug)]
struct Piece {
    memory: Pinned,
    /// Behind the last copy that used the memory.
    done: Event,
}

impl Piece {
    fn new(entered: &Entered<'_>) -> Outcome<Piece> {
        let done = entered.event()?;
        match entered.pinned(PIECE_BYTES) {
            Ok(memory) => Ok(Piece { memory, done }),
            Err(failure) => {
                done.destroy(entered);
                Err(failure)
            }
        }
    }

    fn release(self, entered: &Entered<'_>) {
        entered.free_pinned(self.memory);
        self.done.destroy(entered);
    }
}

impl Staging {
    pub fn new(entered: &Entered<'_>) -> Outcome<Staging> {
        let first = Piece::new(entered)?;
        match Piece::new(entered) {
            Ok(second) => Ok(Staging { pieces: [first, second], turn: 0 }),
            Err(failure) => {
                first.release(entered);
                Err(failure)
            }
        }
    }

    /// Copies `from` to the device at `to`, in the order of the stream. `from` may change afterwards.
    ///
    /// # Safety
    /// The memory at `to` is as long as `from`.
    pub unsafe fn write(&mut self, entered: &Entered<'_>, stream: &Stream, to: u64, from: &[u8]) -> Outcome {
        for (k, part) in from.chunks(PIECE_BYTES).enumerate() {
            let piece = &mut self.pieces[self.turn];
            self.turn = 1 - self.turn;
            piece.done.synchronize(entered)?;
            // SAFETY: the last copy of this piece is done; the next comes after the memory is filled, and is waited for before it is used again
            unsafe {
                piece.memory.contents()[..part.len()].copy_from_slice(part);
                stream.copy_to_device(entered, to + (k * PIECE_BYTES) as u64, &piece.memory, part.len())?;
            }
            piece.done.record(entered, stream)?;
        }
        Ok(())
    }

    /// Copies from the device at `from` to `to`, after everything in the stream.
    ///
    /// # Safety
    /// The memory at `from` is as long as `to`.
    pub unsafe fn read(&mut self, entered: &Entered<'_>, stream: &Stream, from: u64, to: &mut [u8]) -> Outcome {
        let mut parts = to.chunks_mut(PIECE_BYTES).enumerate();
        // the part that the other piece is being filled with
        let mut waiting: Option<(usize, &mut [u8])> = None;
        loop {
            let next = match parts.next() {
                Some((k, part)) => {
                    let piece = &self.pieces[self.turn];
                    piece.done.synchronize(entered)?;
                    // SAFETY: nothing uses the piece; nobody looks at it before its event
                    unsafe { stream.copy_to_host(entered, &piece.memory, from + (k * PIECE_BYTES) as u64, part.len()) }?;
                    piece.done.record(entered, stream)?;
                    Some((self.turn, part))
                }
                None => None,
            };
            if let Some((turn, part)) = waiting.take() {
                let piece = &mut self.pieces[turn];
                piece.done.synchronize(entered)?;
                // SAFETY: the copy is done
                part.copy_from_slice(unsafe { &piece.memory.contents()[..part.len()] });
            }
            match next {
                Some(_) => self.turn = 1 - self.turn,
                None => return Ok(()),
            }
            waiting = next;
        }
    }

    /// Gives both pieces back; no copy may be under way.
    pub fn release(self, entered: &Entered<'_>) {
        self.pieces.into_iter().for_each(|piece| piece.release(entered));
    }
}
