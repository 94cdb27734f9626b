//! The register against a store that is correct by construction, and against one that is not.

use super::register::{Fate, Reading, Register, Seen, WriteId};
use proptest::prelude::*;

/// One thing that happens. What makes no sense at its moment is passed over.
#[derive(Debug, Clone, Copy)]
enum Event {
    BeginPut,
    BeginDelete,
    /// A write under way, or one of unknown outcome, takes effect now.
    TakeEffect(usize),
    /// The write under way ends; `true` when its answer arrives.
    EndWrite(bool),
    BeginRead(usize),
    /// The read looks at the store now.
    Look(usize),
    EndRead(usize),
}

const READERS: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Write {
    id: WriteId,
    value: Seen,
}

/// A correct store, the clients around it, and the register that watches them.
#[derive(Default)]
struct World {
    register: Register,
    value: Option<Seen>,
    /// Sent, and not yet in effect: the one under way, and those of unknown outcome.
    loose: Vec<Write>,
    flying: Option<Write>,
    reads: [Option<(Reading, Option<Seen>)>; READERS],
}

impl World {
    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::BeginPut if self.flying.is_none() => {
                let id = self.register.begin_put();
                self.begin(Write { id, value: Seen::Version(id) });
            }
            Event::BeginDelete if self.flying.is_none() => {
                let id = self.register.begin_delete();
                self.begin(Write { id, value: Seen::Absent });
            }
            Event::TakeEffect(which) if !self.loose.is_empty() => {
                let write = self.loose.remove(which % self.loose.len());
                self.value = Some(write.value);
            }
            Event::EndWrite(answered) => {
                if let Some(write) = self.flying.take() {
                    let in_effect = self.loose.iter().all(|loose| loose.id != write.id);
                    // A store answers only what is in effect.
                    self.register.end(if answered && in_effect { Fate::Took } else { Fate::Unknown });
                }
            }
            Event::BeginRead(reader) if self.reads[reader].is_none() => {
                self.reads[reader] = Some((self.register.begin_read(), None));
            }
            Event::Look(reader) => {
                if let Some((_, seen)) = &mut self.reads[reader] {
                    *seen = Some(self.value.unwrap_or(Seen::Absent));
                }
            }
            Event::EndRead(reader) => {
                if let Some((reading, Some(seen))) = self.reads[reader].take() {
                    self.register.end_read(&reading, seen).map_err(|violation| violation.to_string())?;
                }
            }
            Event::BeginPut | Event::BeginDelete | Event::TakeEffect(_) | Event::BeginRead(_) => {}
        }
        Ok(())
    }

    fn begin(&mut self, write: Write) {
        self.flying = Some(write);
        self.loose.push(write);
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::BeginPut),
        1 => Just(Event::BeginDelete),
        3 => (0_usize..4).prop_map(Event::TakeEffect),
        3 => any::<bool>().prop_map(Event::EndWrite),
        3 => (0..READERS).prop_map(Event::BeginRead),
        3 => (0..READERS).prop_map(Event::Look),
        3 => (0..READERS).prop_map(Event::EndRead),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_correct_store_is_never_accused(events in prop::collection::vec(event(), 0..80)) {
        let mut world = World::default();
        for event in events {
            if let Err(violation) = world.happen(event) {
                prop_assert!(false, "{violation}");
            }
        }
    }

    #[test]
    fn a_store_that_goes_back_behind_an_acknowledged_write_is_always_accused(before in prop::collection::vec(event(), 0..40)) {
        let mut world = World::default();
        for event in before {
            world.happen(event).map_err(TestCaseError::fail)?;
        }
        world.happen(Event::EndWrite(false)).map_err(TestCaseError::fail)?;
        // Whatever was there has been seen before the put begins, so it cannot come after it.
        let old = world.value.unwrap_or(Seen::Absent);
        read(&mut world.register, old).map_err(TestCaseError::fail)?;
        let id = world.register.begin_put();
        world.register.end(Fate::Took);
        if old != Seen::Absent {
            // Absence has no version: an unknown delete may look like an old one.
            prop_assert!(read(&mut world.register.clone(), old).is_err(), "{old:?} came back");
        }
        prop_assert!(read(&mut world.register, Seen::Version(id)).is_ok());
    }
}

fn read(register: &mut Register, seen: Seen) -> Result<(), String> {
    let reading = register.begin_read();
    register.end_read(&reading, seen).map_err(|violation| violation.to_string())
}
