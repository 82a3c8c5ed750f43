//! Does every packet that came in appear on the way out? One sum over all scopes.

use crate::counters_view::ScopeView;
use crate::description::Kind;

/// Where the packets are. At rest `error` is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    /// Packets received.
    pub rx: u64,
    /// Packets we originated.
    pub made: u64,
    /// Packets handed to a tx ring.
    pub tx: u64,
    /// Packets handed to the kernel or the control plane.
    pub punted: u64,
    /// Packets held now.
    pub held: u64,
    /// Packets dropped, for all reasons.
    pub dropped: u64,
    /// rx + made - tx - punted - held - dropped: more than zero is lost without a reason, less is counted twice.
    pub error: i64,
}

/// Sums all scopes. Wraps as the counters do, so nothing a hostile region says can stop it.
pub fn balance(scopes: &[ScopeView]) -> Balance {
    let mut sum = Balance::default();
    for counter in scopes.iter().flat_map(|scope| &scope.values) {
        let into = match counter.kind {
            Kind::Rx => &mut sum.rx,
            Kind::Made => &mut sum.made,
            Kind::Tx => &mut sum.tx,
            Kind::Punt => &mut sum.punted,
            Kind::Held => &mut sum.held,
            Kind::Drop => &mut sum.dropped,
            Kind::Info | Kind::Gauge => continue,
        };
        *into = into.wrapping_add(counter.value);
    }
    let came = sum.rx.wrapping_add(sum.made);
    let went = sum.tx.wrapping_add(sum.punted).wrapping_add(sum.held).wrapping_add(sum.dropped);
    sum.error = came.wrapping_sub(went) as i64;
    sum
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::counters_view::CounterValue;
    use crate::port::Side;

    fn scope(values: &[(Kind, u64)]) -> ScopeView {
        let values = values.iter().map(|&(kind, value)| CounterValue {
            name: "n".into(),
            kind,
            help: "h".into(),
            value,
        });
        ScopeView { worker: 0, port: 0, port_name: "p".to_owned(), side: Side::Eid, values: values.collect() }
    }

    #[test]
    fn sums_over_scopes_and_kinds() {
        let eid =
            scope(&[(Kind::Rx, 10), (Kind::Made, 2), (Kind::Drop, 1), (Kind::Drop, 2), (Kind::Info, 99)]);
        let rloc = scope(&[(Kind::Tx, 6), (Kind::Punt, 1), (Kind::Held, 2), (Kind::Gauge, 7)]);
        let found = balance(&[eid.clone(), rloc]);
        let expected = Balance { rx: 10, made: 2, tx: 6, punted: 1, held: 2, dropped: 3, error: 0 };
        assert_eq!(found, expected);
        assert_eq!(balance(&[eid]).error, 9);
    }

    #[test]
    fn a_packet_counted_twice_is_negative() {
        assert_eq!(balance(&[scope(&[(Kind::Rx, 1), (Kind::Tx, 2)])]).error, -1);
    }

    #[test]
    fn absurd_values_wrap() {
        let absurd = scope(&[(Kind::Rx, u64::MAX), (Kind::Made, u64::MAX), (Kind::Tx, u64::MAX)]);
        assert_eq!(balance(&[absurd]).error, -1);
    }
}
