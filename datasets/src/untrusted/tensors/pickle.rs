//! A pickle, interpreted by a machine that builds data alone (Python's `pickletools` describes the opcodes).
//!
//! A pickle is a program. Python's reader lets it import and call anything; this one has no way to call. It knows numbers,
//! texts, lists, tuples and dictionaries, and of all names that a pickle may state these, which build tensors:
//!
//! | name | gives |
//! |---|---|
//! | `collections.OrderedDict` | a dictionary |
//! | `torch._utils._rebuild_tensor_v2`, `_rebuild_tensor` | a tensor in a storage |
//! | `torch._utils._rebuild_parameter` | the tensor that it is given |
//! | `torch.FloatStorage`, `HalfStorage`, `BFloat16Storage`, ... | the type of a storage |
//! | `torch.Size` | the tuple that it is given |
//!
//! Any other name ends the reading with a sentence that states it. Values are slices of the pickle or numbers of nodes, and
//! each opcode makes at most one, so that memory is in proportion to the pickle, whatever it says.

use super::place::{Element, wrong};
use std::collections::BTreeMap;
use std::io;

/// The most opcodes of a pickle, and values that are copied: some dozens for each tensor and setting.
const MOST_STEPS: usize = 1 << 20;

/// Axes of a tensor at most.
const MOST_AXES: usize = 16;

/// A value; what holds others is a node of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'p> {
    /// `None`.
    Nothing,
    /// A truth value.
    Bool(bool),
    /// A whole number of at most 64 bits.
    Int(i64),
    /// A whole number of more bits, little-endian.
    Long(&'p [u8]),
    /// A number.
    Real(f64),
    /// A text.
    Text(&'p str),
    /// Bytes.
    Bytes(&'p [u8]),
    /// A name that the machine knows.
    Known(Known),
    /// A list, a tuple, a dictionary, a storage or a tensor, by the number of its node.
    Node(usize),
}

/// A name that the machine knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Known {
    /// `collections.OrderedDict`.
    Dictionary,
    /// `torch._utils._rebuild_tensor_v2` and `_rebuild_tensor`.
    Tensor,
    /// `torch._utils._rebuild_parameter` and `torch.Size`, which give the first of their arguments.
    First,
    /// The type of a storage, a number of [`STORAGES`].
    Storage(usize),
}

/// What holds values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'p> {
    /// A list or a tuple.
    List(Vec<Value<'p>>),
    /// A dictionary, in the order in which it was filled.
    Dictionary(Vec<(Value<'p>, Value<'p>)>),
    /// A storage: the number of its type, its key and its length in elements.
    Storage(usize, &'p str, i64),
    /// A tensor: the node of its storage, its first element there, lengths and strides of its axes.
    Tensor(usize, i64, Vec<i64>, Vec<i64>),
}

/// The types of storages, with the bytes of an element.
const STORAGES: [(&str, u64); 11] = [
    ("FloatStorage", 4),
    ("HalfStorage", 2),
    ("BFloat16Storage", 2),
    ("DoubleStorage", 8),
    ("LongStorage", 8),
    ("IntStorage", 4),
    ("ShortStorage", 2),
    ("CharStorage", 1),
    ("ByteStorage", 1),
    ("BoolStorage", 1),
    ("ComplexFloatStorage", 8),
];

/// The element of a storage's type.
pub(super) fn element(kind: usize) -> Element {
    match STORAGES[kind] {
        ("FloatStorage", _) => Element::F32,
        ("HalfStorage", _) => Element::F16,
        ("BFloat16Storage", _) => Element::Bf16,
        (name, bytes) => Element::Other(name.to_owned(), bytes),
    }
}

fn known(module: &str, name: &str) -> io::Result<Known> {
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Known::Dictionary),
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Ok(Known::Tensor),
        ("torch._utils", "_rebuild_parameter") | ("torch", "Size") => Ok(Known::First),
        ("torch" | "torch.cuda", storage) if STORAGES.iter().any(|(known, _)| *known == storage) => {
            Ok(Known::Storage(STORAGES.iter().position(|(known, _)| *known == storage).unwrap_or_default()))
        }
        _ => Err(wrong(format!(
            "its pickle names {:.200}, which is no part of a tensor: it is not executed, and the file is not read",
            format!("{module}.{name}")
        ))),
    }
}

fn cut() -> io::Error {
    wrong("its pickle is cut short")
}

fn broken() -> io::Error {
    wrong("its pickle is damaged")
}

/// A machine, and what it has built.
pub(super) struct Machine<'p> {
    bytes: &'p [u8],
    at: usize,
    steps: usize,
    stack: Vec<Value<'p>>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'p>>,
    nodes: Vec<Node<'p>>,
}

impl<'p> Machine<'p> {
    /// A machine for pickles that stand one after another in `bytes`.
    pub(super) fn new(bytes: &'p [u8]) -> Machine<'p> {
        let (stack, marks, nodes) = Default::default();
        Machine { bytes, at: 0, steps: 0, stack, marks, memo: BTreeMap::new(), nodes }
    }

    /// The node of a value; `None` for a value that is no node.
    pub(super) fn node(&self, value: Value<'p>) -> Option<&Node<'p>> {
        match value {
            Value::Node(number) => self.nodes.get(number),
            _ => None,
        }
    }

    /// Shows the type and the key of every storage that was named.
    pub(super) fn storages(&self, mut each: impl FnMut(usize, &'p str)) {
        for node in &self.nodes {
            if let Node::Storage(kind, key, _) = node {
                each(*kind, key);
            }
        }
    }

    /// Bytes that were read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Runs the next pickle to its end, and gives its value.
    ///
    /// # Errors
    /// `InvalidData` for a pickle that is damaged, cut short or longer than any checkpoint's, and for one that names what is no
    /// part of a tensor.
    pub(super) fn run(&mut self) -> io::Result<Value<'p>> {
        (self.stack, self.marks, self.memo) = Default::default();
        loop {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Err(wrong(format!("its pickle has more than the {MOST_STEPS} opcodes that are read")));
            }
            match self.byte()? {
                b'.' => return self.pop(),
                opcode => self.step(opcode)?,
            }
        }
    }

    fn step(&mut self, opcode: u8) -> io::Result<()> {
        let value = match opcode {
            // PROTO and FRAME change nothing.
            0x80 => return self.byte().map(drop),
            0x95 => return self.take(8).map(drop),
            b'N' => Value::Nothing,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(self.length(2)? as i64),
            b'J' => Value::Int(i64::from(self.length(4)? as u32 as i32)),
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'G' => Value::Real(f64::from_be_bytes(self.take(8)?.try_into().map_err(|_| cut())?)),
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            // Texts of Python 2 that are bytes.
            b'U' => self.text(1)?,
            b'T' => self.text(4)?,
            b'C' => Value::Bytes(self.counted(1)?),
            b'B' => Value::Bytes(self.counted(4)?),
            0x8e => Value::Bytes(self.counted(8)?),
            b']' | b')' => self.put(Node::List(Vec::new())),
            b'}' => self.put(Node::Dictionary(Vec::new())),
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(());
            }
            b't' | b'l' => {
                let items = self.marked()?;
                self.put(Node::List(items))
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(opcode - 0x84)).ok_or_else(broken)?;
                let items = self.stack.split_off(from);
                self.put(Node::List(items))
            }
            b'd' => {
                let pairs = pairs(&self.marked()?)?;
                self.put(Node::Dictionary(pairs))
            }
            b'2' => *self.stack.last().ok_or_else(broken)?,
            b'0' => return self.pop().map(drop),
            b'1' => return self.marked().map(drop),
            b'q' | b'r' | 0x94 => return self.remember(opcode),
            b'h' => self.recalled(1)?,
            b'j' => self.recalled(4)?,
            b'a' => {
                let item = self.pop()?;
                return self.append(vec![item]);
            }
            b'e' => {
                let items = self.marked()?;
                return self.append(items);
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                return self.insert(vec![(key, value)]);
            }
            b'u' => {
                let items = pairs(&self.marked()?)?;
                return self.insert(items);
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Known(known(module, name)?)
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => Value::Known(known(module, name)?),
                _ => return Err(broken()),
            },
            b'R' => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                self.rebuilt(callee, arguments)?
            }
            b'Q' => {
                let id = self.pop()?;
                self.storage(id)?
            }
            b'b' => {
                // The state of an ordered dictionary is what PyTorch knows of its own versions.
                self.pop()?;
                return match self.stack.last().and_then(|value| self.node(*value)) {
                    Some(Node::Dictionary(_)) => Ok(()),
                    _ => Err(wrong("its pickle gives a state to what is no dictionary")),
                };
            }
            other => return Err(wrong(format!("its pickle has the opcode {other:#04x}, which no tensor needs"))),
        };
        self.stack.push(value);
        Ok(())
    }

    fn put(&mut self, node: Node<'p>) -> Value<'p> {
        self.nodes.push(node);
        Value::Node(self.nodes.len() - 1)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, length: usize) -> io::Result<&'p [u8]> {
        let taken = self.bytes[self.at..].get(..length).ok_or_else(cut)?;
        self.at += length;
        Ok(taken)
    }

    /// A little-endian number of at most 8 bytes.
    fn length(&mut self, bytes: usize) -> io::Result<u64> {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(self.take(bytes)?);
        Ok(u64::from_le_bytes(number))
    }

    fn counted(&mut self, bytes: usize) -> io::Result<&'p [u8]> {
        let length = usize::try_from(self.length(bytes)?).map_err(|_| cut())?;
        self.take(length)
    }

    fn text(&mut self, bytes: usize) -> io::Result<Value<'p>> {
        std::str::from_utf8(self.counted(bytes)?)
            .map(Value::Text)
            .map_err(|_| wrong("a text of its pickle is not UTF-8"))
    }

    fn long(&mut self, bytes: usize) -> io::Result<Value<'p>> {
        let digits = self.counted(bytes)?;
        if digits.len() > 8 {
            return Ok(Value::Long(digits));
        }
        let negative = digits.last().is_some_and(|last| last & 0x80 > 0);
        let mut number = [if negative { 0xff } else { 0 }; 8];
        number[..digits.len()].copy_from_slice(digits);
        Ok(Value::Int(i64::from_le_bytes(number)))
    }

    fn line(&mut self) -> io::Result<&'p str> {
        let end = self.bytes[self.at..].iter().position(|byte| *byte == b'\n').ok_or_else(cut)?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| wrong("a text of its pickle is not UTF-8"))
    }

    fn pop(&mut self) -> io::Result<Value<'p>> {
        self.stack.pop().ok_or_else(broken)
    }

    /// What stands above the last mark.
    fn marked(&mut self) -> io::Result<Vec<Value<'p>>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or_else(broken)?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, opcode: u8) -> io::Result<()> {
        let at = match opcode {
            b'q' => u32::from(self.byte()?),
            b'r' => self.length(4)? as u32,
            _ => self.memo.len() as u32,
        };
        let value = *self.stack.last().ok_or_else(broken)?;
        self.memo.insert(at, value);
        Ok(())
    }

    fn recalled(&mut self, bytes: usize) -> io::Result<Value<'p>> {
        let at = self.length(bytes)? as u32;
        self.memo.get(&at).copied().ok_or_else(broken)
    }

    fn append(&mut self, items: Vec<Value<'p>>) -> io::Result<()> {
        match self.stack.last() {
            Some(Value::Node(list)) => match &mut self.nodes[*list] {
                Node::List(list) => list.extend(items),
                _ => return Err(broken()),
            },
            _ => return Err(broken()),
        }
        Ok(())
    }

    fn insert(&mut self, items: Vec<(Value<'p>, Value<'p>)>) -> io::Result<()> {
        match self.stack.last() {
            Some(Value::Node(dictionary)) => match &mut self.nodes[*dictionary] {
                Node::Dictionary(dictionary) => dictionary.extend(items),
                _ => return Err(broken()),
            },
            _ => return Err(broken()),
        }
        Ok(())
    }

    fn items(&self, value: Value<'p>) -> io::Result<&[Value<'p>]> {
        match self.node(value) {
            Some(Node::List(items)) => Ok(items),
            _ => Err(broken()),
        }
    }

    /// What a known name gives of its arguments.
    fn rebuilt(&mut self, callee: Value<'p>, arguments: Value<'p>) -> io::Result<Value<'p>> {
        let arguments = self.items(arguments)?;
        let node = match (callee, arguments) {
            (Value::Known(Known::First), [first, ..]) => return Ok(*first),
            (Value::Known(Known::Dictionary), []) => Node::Dictionary(Vec::new()),
            (Value::Known(Known::Dictionary), [list]) => {
                let pair = |item: &Value<'p>| match self.items(*item)? {
                    [key, value] => Ok((*key, *value)),
                    _ => Err(broken()),
                };
                let pairs = self.items(*list)?.iter().map(pair).collect::<io::Result<Vec<_>>>()?;
                self.steps += pairs.len();
                Node::Dictionary(pairs)
            }
            (Value::Known(Known::Tensor), [Value::Node(storage), Value::Int(offset), shape, strides, ..])
                if matches!(self.nodes[*storage], Node::Storage(..)) =>
            {
                let whole = |value: &Value<'p>| match value {
                    Value::Int(number) => Ok(*number),
                    _ => Err(broken()),
                };
                let axes = |value| {
                    let items = self.items(value)?;
                    if items.len() > MOST_AXES {
                        return Err(wrong(format!("a tensor has {} axes", items.len())));
                    }
                    items.iter().map(whole).collect::<io::Result<Vec<i64>>>()
                };
                Node::Tensor(*storage, *offset, axes(*shape)?, axes(*strides)?)
            }
            _ => return Err(wrong("its pickle calls what cannot be called")),
        };
        Ok(self.put(node))
    }

    /// The storage of a persistent id: `("storage", type, key, device, elements)`, and in streams what it is a view of.
    fn storage(&mut self, id: Value<'p>) -> io::Result<Value<'p>> {
        let node = match self.items(id)? {
            [
                Value::Text("storage"),
                Value::Known(Known::Storage(kind)),
                Value::Text(key),
                _,
                Value::Int(elements),
                rest @ ..,
            ] if rest.iter().all(|view| *view == Value::Nothing) => Node::Storage(*kind, key, *elements),
            _ => return Err(wrong("its pickle names a storage of a form that PyTorch no longer writes")),
        };
        Ok(self.put(node))
    }
}

/// Keys and values that stand one after another.
fn pairs<'p>(items: &[Value<'p>]) -> io::Result<Vec<(Value<'p>, Value<'p>)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() { Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()) } else { Err(broken()) }
}
