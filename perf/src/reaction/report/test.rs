#![allow(clippy::unwrap_used, reason = "test code")]
use super::*;

fn spread(us: u64) -> Spread {
    Spread::of_ns(&[us * 1000]).unwrap()
}

fn report() -> Report {
    let packets = Packets { offered: 9, delivered: 9, ..Packets::default() };
    let notify = Notify {
        rate: 10_000,
        notified: spread(300),
        registered: spread(500),
        acknowledged: spread(200),
        overtaken: 0,
        missing: 0,
        strayed: 0,
        packets,
    };
    let context = Context { first: spread(900), last: spread(2000), scenario_ok: true, packets };
    let exchange = Exchange {
        first: spread(700),
        extra_round_trips: 0,
        rounds: spread(200),
        kernel: spread(50),
        lost: 0,
        wrong: 0,
        balance_error: 0,
    };
    let lab = Some(Lab { notify, context, exchange });
    Report { machine: Machine::read(), ring: spread(60), lab, left_out: None }
}

#[test]
fn a_good_report_has_no_faults_and_meets_its_budgets() {
    let report = report();
    assert!(report.faults().is_empty(), "{:?}", report.faults());
    assert!(report.budgets().iter().all(|budget| budget.met), "{:?}", report.budgets());
    let told = serde_json::to_value(report.judged()).unwrap();
    assert_eq!(told["budgets"].as_array().unwrap().len(), 4);
    assert_eq!(told["lab"]["exchange"]["extra_round_trips"], 0);
}

#[test]
fn a_time_beyond_its_budget_is_no_fault_and_said() {
    let mut report = report();
    report.lab.as_mut().unwrap().notify.notified = spread(1200);
    assert!(report.faults().is_empty());
    assert_eq!(report.budgets().iter().filter(|budget| !budget.met).count(), 1);
    assert!(report.to_string().contains("BEYOND the budget of 1000 us"), "{report}");
}

#[test]
fn what_is_lost_is_a_fault() {
    for spoil in [
        (|lab: &mut Lab| lab.notify.packets.lost = 1) as fn(&mut Lab),
        |lab| lab.notify.packets.balance_error = 1,
        |lab| lab.notify.missing = 1,
        |lab| lab.notify.strayed = 1,
        |lab| lab.context.packets.lost = 1,
        |lab| lab.context.scenario_ok = false,
        |lab| lab.exchange.lost = 1,
        |lab| lab.exchange.wrong = 1,
        |lab| lab.exchange.balance_error = 1,
    ] {
        let mut report = report();
        spoil(report.lab.as_mut().unwrap());
        assert_eq!(report.faults().len(), 1);
    }
}
