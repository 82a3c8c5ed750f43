//! Rates against packet size, of the gateway and of what else could forward there.

use super::loss::search;
use super::{Conditions, Measured};
use crate::lab::kernel::{Kernel, Work};
use crate::lab::load::{Trials, Way, trial};
use crate::lab::plain::Plain;
use crate::lab::systems::Lab;
use crate::report::part::sizes::{FRAME_BYTES, Size, Sizes, System};
use crate::report::raw::DriverMode;
use anyhow::{Context, Result};
use sterna_lab::interrupt;

const QUICK: &[u16] = &[64, 512, 1518];

pub fn measure(conditions: &Conditions) -> Result<Measured> {
    let seconds = conditions.by_level(0.4, 2.0);
    let (sizes, driver) = crate::lab::ask(conditions.core, seconds, |lab| {
        let mut sizes = Sizes { trial_s: seconds, systems: Vec::new(), missing: Vec::new() };
        let mut driver = Vec::new();
        let run = Run { lab, conditions };
        take(&mut sizes, "plain AF_XDP forwarding", run.plain())?;
        // Without the gateway's figures there is no picture.
        sizes.systems.extend(run.gateway(&mut driver)?);
        if conditions.by_level(false, true) {
            take(&mut sizes, "kernel forwarding", run.kernel(Work::Forward, "kernel forwarding"))?;
            take(&mut sizes, "kernel VXLAN", run.kernel(Work::Vxlan, "kernel VXLAN"))?;
        }
        Ok((sizes, driver))
    })?;
    Measured::new(&sizes, sizes.samples(), driver)
}

/// Keeps a system, or why it is not there.
fn take(sizes: &mut Sizes, name: &str, measured: Result<System>) -> Result<()> {
    match measured {
        Ok(system) => sizes.systems.push(system),
        Err(error) => {
            interrupt::check()?;
            sizes.missing.push(format!("{name}: {error:#}"));
        }
    }
    Ok(())
}

struct Run<'r> {
    lab: &'r Lab<'r>,
    conditions: &'r Conditions,
}

impl Run<'_> {
    fn plain(&self) -> Result<System> {
        let _running = Plain::start(self.lab.net, self.lab.core)?;
        self.system("plain AF_XDP forwarding", &self.lab.encap()?, false)
    }

    fn gateway(&self, driver: &mut Vec<DriverMode>) -> Result<Vec<System>> {
        let gateway = self.lab.start_gateway()?;
        // The rate without loss takes a search for every size.
        let searches = self.conditions.by_level(false, true);
        let mut systems = vec![self.system("encap", &self.lab.encap()?, searches)?];
        if searches {
            systems.push(self.system("decap", &self.lab.decap()?, false)?);
        }
        gateway.balanced()?;
        driver.extend(gateway.driver()?);
        Ok(systems)
    }

    fn kernel(&self, work: Work, name: &str) -> Result<System> {
        let _kernel = Kernel::start(self.lab.net, work, self.lab.core)?;
        self.system(name, &self.lab.encap()?, false)
    }

    fn system(&self, name: &str, way: &Way, searches: bool) -> Result<System> {
        let frame_bytes = self.conditions.by_level(QUICK, &FRAME_BYTES);
        let sizes = frame_bytes.iter().map(|bytes| self.size(way, *bytes, searches));
        let sizes: Result<Vec<Size>> = sizes.collect();
        Ok(System { name: name.to_owned(), sizes: sizes.with_context(|| name.to_owned())? })
    }

    fn size(&self, way: &Way, frame_bytes: u16, searches: bool) -> Result<Size> {
        let trials = Trials { frame_bytes, ..self.lab.trials };
        // Neighbours are found and caches warm.
        trial(self.lab.net, way, &Trials { seconds: 0.3, ..trials }, Some(2_000.0))?;
        let runs = self.conditions.by_level(3, 9);
        let carried = (0..runs).map(|_| Ok(trial(self.lab.net, way, &trials, None)?.arrived_pps));
        let carried_pps = carried.collect::<Result<Vec<f64>>>()?;
        let lab = Lab { trials, ..*self.lab };
        let ndr_pps = if searches { Some(search(&lab, way, self.conditions)?.0.ndr_pps) } else { None };
        Ok(Size { frame_bytes, carried_pps, ndr_pps })
    }
}
