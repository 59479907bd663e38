//! Collections of rows, whose types timely does not see.
//!
//! timely compiles queues, channels and progress anew for every type that travels, and a sort for every operator: with
//! stages that pass some hundred types on, that was half of this crate's machine code. So rows travel in batches whose type
//! is forgotten, all of that is compiled once, and an operator is a loop over one batch.

use differential_dataflow::{AsCollection, VecCollection};
use std::{any::Any, marker::PhantomData};
use timely::{
    container::CapacityContainerBuilder,
    dataflow::{
        ProbeHandle, Scope, Stream,
        channels::pact::Pipeline,
        operators::{
            CapabilitySet, Concatenate, Inspect, Probe,
            generic::{OutputBuilder, builder_rc::OperatorBuilder, operator::Operator, operator::source},
        },
    },
    progress::operate::FrontierInterest,
};

/// build << 32 | chunk.
pub type Time = u64;

/// Rows with their times, and with how many came (or, negative, went).
pub type Updates<R> = Vec<(R, Time, isize)>;

/// Updates of which more than this become several batches where an operator makes more of fewer.
const AT_ONCE: usize = 1 << 12;

/// What can be done with updates of any type.
trait Erased {
    fn len(&self) -> usize;
    fn copy(&self) -> Box<dyn Erased>;
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<R: Clone + 'static> Erased for Updates<R> {
    fn len(&self) -> usize {
        Vec::len(self)
    }
    fn copy(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Updates of one type, which is forgotten; none where there are none.
#[derive(Default)]
struct Batch(Option<Box<dyn Erased>>);

const KNOWN: &str = "the type of a collection is that of its batches";

impl Batch {
    fn of<R: Clone + 'static>(updates: Updates<R>) -> Batch {
        Batch(if updates.is_empty() { None } else { Some(Box::new(updates)) })
    }

    fn updates<R: 'static>(self) -> Updates<R> {
        self.0.map_or_else(Vec::new, |erased| *erased.into_any().downcast().expect(KNOWN))
    }

    fn view<R: 'static>(&self) -> &[(R, Time, isize)] {
        self.0.as_ref().map_or(&[], |erased| erased.as_any().downcast_ref::<Updates<R>>().expect(KNOWN))
    }
}

impl Clone for Batch {
    fn clone(&self) -> Batch {
        Batch(self.0.as_ref().map(|erased| erased.copy()))
    }
}

impl timely::Accountable for Batch {
    fn record_count(&self) -> i64 {
        self.0.as_ref().map_or(0, |erased| erased.len() as i64)
    }
}

type Batches<'s> = Stream<'s, Time, Batch>;
type Builder = CapacityContainerBuilder<Batch>;
/// Takes a batch, and gives what comes of it to its second argument, batch by batch.
type Each = Box<dyn FnMut(Batch, &mut dyn FnMut(Batch))>;

/// An operator on one batch after the other.
fn each<'s>(batches: Batches<'s>, name: &str, mut logic: Each) -> Batches<'s> {
    batches.unary::<Builder, _, _, _>(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each_stamp(|cap, data| {
                let mut session = output.session(&cap);
                for batch in data {
                    logic(std::mem::take(batch), &mut |mut batch| session.give_container(&mut batch));
                }
            });
        }
    })
}

/// The same where updates get other times, as `later` says, which are not before their own.
fn later<'s>(batches: Batches<'s>, later: fn(&Time) -> Time, mut logic: Each) -> Batches<'s> {
    batches.unary::<Builder, _, _, _>(Pipeline, "delay", move |_, _| {
        move |input, output| {
            input.for_each_stamp(|cap, data| {
                let own = output.output_index();
                let caps: CapabilitySet<Time> = cap.stamp().iter().map(|time| cap.delayed(&later(time), own)).collect();
                let mut session = output.session(&caps);
                for batch in data {
                    logic(std::mem::take(batch), &mut |mut batch| session.give_container(&mut batch));
                }
            });
        }
    })
}

/// An operator that makes two batches of one.
fn two<'s>(batches: Batches<'s>, mut logic: Box<dyn FnMut(Batch) -> [Batch; 2]>) -> [Batches<'s>; 2] {
    let mut builder = OperatorBuilder::new("divide".to_owned(), batches.scope());
    let mut input = builder.new_input(batches, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let ((one, first), (other, second)) = (builder.new_output(), builder.new_output());
    let mut one: OutputBuilder<Time, Builder> = OutputBuilder::from(one);
    let mut other: OutputBuilder<Time, Builder> = OutputBuilder::from(other);
    builder.build(move |_| {
        move |_| {
            let (mut one, mut other) = (one.activate(), other.activate());
            input.for_each_stamp(|cap, data| {
                let (mut one, mut other) = (one.session(&cap), other.session(&cap));
                for batch in data {
                    let [mut left, mut right] = logic(std::mem::take(batch));
                    one.give_container(&mut left);
                    other.give_container(&mut right);
                }
            });
        }
    });
    [first, second]
}

/// A collection of rows.
pub struct Rows<'s, R> {
    batches: Batches<'s>,
    row: PhantomData<fn() -> R>,
}

impl<R> Clone for Rows<'_, R> {
    fn clone(&self) -> Self {
        Rows { batches: self.batches.clone(), row: PhantomData }
    }
}

impl<'s, R: Clone + 'static> From<VecCollection<'s, Time, R, isize>> for Rows<'s, R> {
    fn from(rows: VecCollection<'s, Time, R, isize>) -> Self {
        let batches = rows.inner.unary::<Builder, _, _, _>(Pipeline, "rows", move |_, _| {
            move |input, output| {
                input.for_each(|cap, data| output.session(&cap).give_container(&mut Batch::of(std::mem::take(data))));
            }
        });
        Rows::of(batches)
    }
}

impl<'s, R: Clone + 'static> Rows<'s, R> {
    fn of(batches: Batches<'s>) -> Self {
        Rows { batches, row: PhantomData }
    }

    /// At most one row, which is there from the start.
    pub fn once(scope: Scope<'s, Time>, row: Option<R>) -> Self {
        let mut batch = Batch::of(row.map(|row| (row, 0, 1)).into_iter().collect());
        Rows::of(source::<_, Builder, _, _>(scope, "once", move |cap, _| {
            let mut cap = Some(cap);
            move |output| {
                if let Some(cap) = cap.take() {
                    output.session(&cap).give_container(&mut batch);
                }
            }
        }))
    }

    /// As differential has it, for its operators and for operators of timely that ask for a type.
    pub fn typed(self) -> VecCollection<'s, Time, R, isize> {
        let typed = self.batches.unary::<CapacityContainerBuilder<Updates<R>>, _, _, _>(Pipeline, "typed", |_, _| {
            |input, output| {
                input.for_each(|cap, batch| {
                    output.session(&cap).give_container(&mut std::mem::take(batch).updates());
                });
            }
        });
        typed.as_collection()
    }

    /// The scope that it is in.
    pub fn scope(&self) -> Scope<'s, Time> {
        self.batches.scope()
    }

    /// Another row for each.
    pub fn map<O: Clone + 'static>(self, mut make: impl FnMut(R) -> O + 'static) -> Rows<'s, O> {
        let logic = move |batch: Batch, give: &mut dyn FnMut(Batch)| {
            let made = batch.updates().into_iter().map(|(row, time, diff)| (make(row), time, diff));
            give(Batch::of(made.collect::<Updates<O>>()));
        };
        Rows::of(each(self.batches, "map", Box::new(logic)))
    }

    /// Any number of rows for each.
    pub fn flat_map<O: Clone + 'static, I: IntoIterator<Item = O>>(
        self,
        mut make: impl FnMut(R) -> I + 'static,
    ) -> Rows<'s, O> {
        let logic = move |batch: Batch, give: &mut dyn FnMut(Batch)| {
            let mut made: Updates<O> = Vec::new();
            for (row, time, diff) in batch.updates::<R>() {
                for row in make(row) {
                    made.push((row, time, diff));
                    if made.len() == AT_ONCE {
                        give(Batch::of(std::mem::take(&mut made)));
                    }
                }
            }
            give(Batch::of(made));
        };
        Rows::of(each(self.batches, "flat_map", Box::new(logic)))
    }

    /// The rows that `keep` says.
    pub fn filter(self, mut keep: impl FnMut(&R) -> bool + 'static) -> Self {
        let logic = move |batch: Batch, give: &mut dyn FnMut(Batch)| {
            let mut updates = batch.updates::<R>();
            updates.retain(|(row, ..)| keep(row));
            give(Batch::of(updates));
        };
        Rows::of(each(self.batches, "filter", Box::new(logic)))
    }

    /// These that go for those that come, and the other way round.
    pub fn negate(self) -> Self {
        let logic = |batch: Batch, give: &mut dyn FnMut(Batch)| {
            let mut updates = batch.updates::<R>();
            updates.iter_mut().for_each(|(.., diff)| *diff = -*diff);
            give(Batch::of(updates));
        };
        Rows::of(each(self.batches, "negate", Box::new(logic)))
    }

    /// Each at the time that `to` says of its own, and that is not before it.
    pub fn delay(self, to: fn(&Time) -> Time) -> Self {
        let logic = move |batch: Batch, give: &mut dyn FnMut(Batch)| {
            let mut updates = batch.updates::<R>();
            updates.iter_mut().for_each(|(_, time, _)| *time = to(time));
            give(Batch::of(updates));
        };
        Rows::of(later(self.batches, to, Box::new(logic)))
    }

    /// Rows that are either one thing or another, each kind by itself. None is copied.
    pub fn divide<A: Clone + 'static, B: Clone + 'static>(
        self,
        mut logic: impl FnMut(R) -> Result<A, B> + 'static,
    ) -> (Rows<'s, A>, Rows<'s, B>) {
        let logic = move |batch: Batch| {
            let (mut one, mut other): (Updates<A>, Updates<B>) = (Vec::new(), Vec::new());
            for (row, time, diff) in batch.updates() {
                match logic(row) {
                    Ok(row) => one.push((row, time, diff)),
                    Err(row) => other.push((row, time, diff)),
                }
            }
            [Batch::of(one), Batch::of(other)]
        };
        let [one, other] = two(self.batches, Box::new(logic));
        (Rows::of(one), Rows::of(other))
    }

    /// The rows of both.
    pub fn concat(self, other: Self) -> Self {
        self.concatenate([other])
    }

    /// The rows of all.
    pub fn concatenate(self, others: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<Batches<'s>> = others.into_iter().map(|rows| rows.batches).chain([self.batches.clone()]).collect();
        Rows::of(self.scope().concatenate(all))
    }

    /// Shows each row, its time and its difference, and passes it on.
    pub fn inspect(self, mut show: impl FnMut(&(R, Time, isize)) + 'static) -> Self {
        self.inspect_batch(move |updates| updates.iter().for_each(&mut show))
    }

    /// The same, many at a time.
    pub fn inspect_batch(self, mut show: impl FnMut(&[(R, Time, isize)]) + 'static) -> Self {
        let show: Box<dyn FnMut(&Batch)> = Box::new(move |batch| show(batch.view()));
        Rows::of(inspect(self.batches, show))
    }

    /// Tells `probe` how far it is.
    pub fn probe_with(self, probe: &ProbeHandle<Time>) -> Self {
        Rows::of(self.batches.probe_with(probe))
    }
}

fn inspect<'s>(batches: Batches<'s>, mut show: Box<dyn FnMut(&Batch)>) -> Batches<'s> {
    batches.inspect_core(move |event| {
        if let Ok((_, batch)) = event {
            show(batch);
        }
    })
}
