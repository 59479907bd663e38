//! Inputs of a stage: rows of one kind, or of several, some of which may be left open.

use crate::rows::{Flow, Input, Kind, Row};

/// The inputs of a stage: one, a pair, or one beside others that may be left open.
pub trait Inputs {
    /// The inputs as collections.
    type Rows<'s>;
    /// Kinds of the rows of the ports, in order.
    const KINDS: &'static [Kind];
    /// Restores the row types of the flows, one for each port, `None` for an open one; the plan has checked them.
    fn take(flows: Vec<Option<Flow<'_>>>) -> Self::Rows<'_>;
}

/// The flows of so many ports.
fn ports<const N: usize>(flows: Vec<Option<Flow<'_>>>) -> [Option<Flow<'_>>; N] {
    let Ok(ports) = <[_; N]>::try_from(flows) else { unreachable!("the plan checked the ports") };
    ports
}

/// The rows of a port that may not be left open.
fn needed<A: Row>(flow: Option<Flow<'_>>) -> Input<'_, A> {
    let Some(flow) = flow else { unreachable!("the plan checked that something feeds it") };
    A::input(flow)
}

impl<A: Row> Inputs for A {
    type Rows<'s> = Input<'s, A>;
    const KINDS: &'static [Kind] = &[A::KIND];
    fn take(flows: Vec<Option<Flow<'_>>>) -> Input<'_, A> {
        let [a] = ports(flows);
        needed(a)
    }
}

impl<A: Row, B: Row> Inputs for (A, B) {
    type Rows<'s> = (Input<'s, A>, Input<'s, B>);
    const KINDS: &'static [Kind] = &[A::KIND, B::KIND];
    fn take(flows: Vec<Option<Flow<'_>>>) -> Self::Rows<'_> {
        let [a, b] = ports(flows);
        (needed(a), needed(b))
    }
}

impl<A: Row, B: Row, C: Row, D: Row> Inputs for (A, Option<B>, Option<C>, Option<D>) {
    type Rows<'s> = (Input<'s, A>, Option<Input<'s, B>>, Option<Input<'s, C>>, Option<Input<'s, D>>);
    const KINDS: &'static [Kind] = &[A::KIND, B::KIND, C::KIND, D::KIND];
    fn take(flows: Vec<Option<Flow<'_>>>) -> Self::Rows<'_> {
        let [a, b, c, d] = ports(flows);
        (needed(a), b.map(B::input), c.map(C::input), d.map(D::input))
    }
}
