//! What goes wrong: machines are killed, stopped and cut off, clocks are set, disks refuse.

use crate::clock::{HOUR, MINUTE, SECOND};
use crate::machine::{COORDINATOR, NODES};
use crate::world::World;

impl World {
    pub fn fault(&mut self) {
        let at = self.schedule.at;
        let machine = self.random.below(NODES as u64) as usize;
        self.outcome.faults += 1;
        let long = self.random.between(SECOND, 10 * MINUTE);
        let kind = self.random.below(7);
        self.schedule.note(kind << 8 | machine as u64);
        match kind {
            0 | 1 => {
                self.machines[machine].kill();
                self.machines[machine].starts_at = at + long;
            }
            2 => {
                self.machines[machine].stop(at);
                self.machines[machine].starts_at = at + long / 10;
            }
            3 => self.machines[machine].cut_until = at + long,
            4 => {
                let jump = if self.random.chance(300) { 3 * HOUR } else { 2 * MINUTE };
                let by = self.random.between(0, 2 * jump) as i64 - jump as i64;
                self.machines[machine].clock.jump(by);
                self.expire_all(machine);
            }
            5 => self.machines[machine].disk.refuses_until = at + long,
            _ => {
                self.machines[COORDINATOR].dies_at_grant = true;
                self.machines[COORDINATOR].starts_at = at + long / 10;
            }
        }
    }

    /// All is well again, and nobody asks for anything any more.
    pub fn calm(&mut self) {
        self.is_calm = true;
        for machine in &mut self.machines {
            (machine.starts_at, machine.cut_until, machine.disk.refuses_until) = (0, 0, 0);
        }
    }
}
