//! Thrift's compact protocol, as far as it takes to look through the footer and the page headers of a Parquet file
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).
//!
//! Nothing is allocated, whatever a length says: it must fit the bytes that are there.

/// Structs, lists and maps inside each other: Parquet needs 8.
const DEPTH: u32 = 24;

/// Why bytes are no thrift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The bytes end before the value does.
    Ended,
    /// The bytes contradict the protocol.
    Wrong,
}

/// Type of a value on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// A boolean of a struct, whose value is in its type.
    Flag,
    Byte,
    /// Integers of 16, 32 and 64 bits alike.
    Int,
    Double,
    Binary,
    List,
    Map,
    Struct,
}

impl Wire {
    fn of(nibble: u8) -> Result<Wire, Broken> {
        Ok(match nibble {
            1 | 2 => Wire::Flag,
            3 => Wire::Byte,
            4..=6 => Wire::Int,
            7 => Wire::Double,
            8 => Wire::Binary,
            9 | 10 => Wire::List,
            11 => Wire::Map,
            12 => Wire::Struct,
            _ => return Err(Broken::Wrong),
        })
    }
}

/// A reader of values, one after another.
#[derive(Clone, Debug)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader { bytes }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let (first, rest) = self.bytes.split_first().ok_or(Broken::Ended)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Broken::Wrong)
    }

    /// An integer of any width.
    pub(super) fn int(&mut self) -> Result<i64, Broken> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// Text or bytes.
    pub(super) fn binary(&mut self) -> Result<&'b [u8], Broken> {
        let length = usize::try_from(self.varint()?).map_err(|_| Broken::Wrong)?;
        let (own, rest) = self.bytes.split_at_checked(length).ok_or(Broken::Ended)?;
        self.bytes = rest;
        Ok(own)
    }

    /// The head of a list: type and number of its elements, each of which takes a byte at least.
    pub(super) fn list(&mut self) -> Result<(Wire, usize), Broken> {
        let head = self.byte()?;
        let size = match head >> 4 {
            15 => usize::try_from(self.varint()?).map_err(|_| Broken::Wrong)?,
            size => usize::from(size),
        };
        if size > self.left() {
            return Err(Broken::Ended);
        }
        Ok((Wire::of(head & 15)?, size))
    }

    /// Reads a struct field by field: `take` gets the number and the type of each and says whether it has read it; if not,
    /// the field is passed over.
    pub(super) fn fields(
        &mut self,
        mut take: impl FnMut(i64, Wire, &mut Reader<'b>) -> Result<bool, Broken>,
    ) -> Result<(), Broken> {
        self.fields_at(DEPTH, &mut take)
    }

    fn fields_at(
        &mut self,
        depth: u32,
        take: &mut dyn FnMut(i64, Wire, &mut Reader<'b>) -> Result<bool, Broken>,
    ) -> Result<(), Broken> {
        let mut id = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => self.int()?,
                delta => id + i64::from(delta),
            };
            if !(0..=i64::from(i16::MAX)).contains(&id) {
                return Err(Broken::Wrong);
            }
            let kind = Wire::of(head & 15)?;
            if !take(id, kind, self)? {
                self.skip(kind, false, depth)?;
            }
        }
    }

    /// Passes over a value; a boolean in a list or map is a byte.
    fn skip(&mut self, kind: Wire, element: bool, depth: u32) -> Result<(), Broken> {
        let depth = depth.checked_sub(1).ok_or(Broken::Wrong)?;
        match kind {
            Wire::Flag if !element => Ok(()),
            Wire::Flag | Wire::Byte => self.byte().map(drop),
            Wire::Int => self.varint().map(drop),
            Wire::Double => {
                self.bytes = self.bytes.get(8..).ok_or(Broken::Ended)?;
                Ok(())
            }
            Wire::Binary => self.binary().map(drop),
            Wire::List => {
                let (kind, size) = self.list()?;
                (0..size).try_for_each(|_| self.skip(kind, true, depth))
            }
            Wire::Map => {
                let size = usize::try_from(self.varint()?).map_err(|_| Broken::Wrong)?;
                if size == 0 {
                    return Ok(());
                }
                if size > self.left() {
                    return Err(Broken::Ended);
                }
                let kinds = self.byte()?;
                let (key, value) = (Wire::of(kinds >> 4)?, Wire::of(kinds & 15)?);
                (0..size).try_for_each(|_| {
                    self.skip(key, true, depth)?;
                    self.skip(value, true, depth)
                })
            }
            Wire::Struct => self.fields_at(depth, &mut |_, _, _| Ok(false)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a struct that are integers.
    fn ints(bytes: &[u8]) -> Result<Vec<(i64, i64)>, Broken> {
        let mut all = Vec::new();
        Reader::new(bytes).fields(|id, kind, reader| {
            if kind != Wire::Int {
                return Ok(false);
            }
            all.push((id, reader.int()?));
            Ok(true)
        })?;
        Ok(all)
    }

    #[test]
    fn fields_are_read_and_others_passed_over() {
        // 1: i32 -3; 2: binary "ab"; 3: list of two i32; 4: true; 20 (long form): i64 1; 21: struct {1: i32 0}; stop.
        let bytes = [0x15, 5, 0x18, 2, b'a', b'b', 0x19, 0x25, 2, 4, 0x11, 0x06, 40, 2, 0x1c, 0x15, 0, 0, 0];
        assert_eq!(ints(&bytes), Ok(vec![(1, -3), (20, 1)]));
        for cut in 0..bytes.len() {
            assert_eq!(ints(&bytes[..cut]), Err(Broken::Ended), "cut at {cut}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert_eq!(ints(&[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]), Err(Broken::Ended));
        assert_eq!(ints(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x07, 0]), Err(Broken::Ended));
        assert_eq!(ints(&[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]), Err(Broken::Wrong));
        // Structs inside each other, and lists.
        assert_eq!(ints(&[0x1c; 100_000]), Err(Broken::Wrong));
        assert_eq!(ints(&[&[0x19][..], &[0x19; 100_000]].concat()), Err(Broken::Wrong));
    }
}
