//! Who may run now: a bounded number of slots, a bounded queue before them, one turn a principal
//! when several wait. Beyond that a caller is told to come back.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::principal::Principal;

/// The queue; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    shared: Arc<Mutex<State>>,
}

/// The right to one run; the next in line gets it when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    /// Absent once the queue itself has taken the slot back.
    queue: Option<Queue>,
}

/// The queue is full; worth a try after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) retry_after: Duration,
}

#[derive(Debug)]
struct State {
    slots: usize,
    free: usize,
    most_waiting: usize,
    waiting: HashMap<Principal, VecDeque<(u64, oneshot::Sender<Slot>)>>,
    /// Principals with somebody waiting, next turn first.
    turns: VecDeque<Principal>,
    count: usize,
    next_ticket: u64,
    /// Smoothed length of a run, to say when a retry is worth while.
    typical_run: Duration,
}

/// A place in the line, given up when the caller stops waiting.
struct Place<'a> {
    queue: &'a Queue,
    principal: &'a Principal,
    ticket: u64,
}

impl Queue {
    pub(super) fn new(slots: usize, most_waiting: usize) -> Self {
        let state = State {
            slots,
            free: slots,
            most_waiting,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            count: 0,
            next_ticket: 0,
            typical_run: Duration::from_secs(1),
        };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a slot. Dropping the future gives the place up.
    pub(super) async fn enter(&self, principal: &Principal) -> Result<Slot, Full> {
        let (sender, receiver) = oneshot::channel();
        let ticket = self.with(|state| {
            if state.free > 0 {
                state.free -= 1;
                return Ok(None);
            }
            if state.count >= state.most_waiting {
                return Err(Full { retry_after: state.retry_after() });
            }
            state.next_ticket += 1;
            state.count += 1;
            let line = state.waiting.entry(principal.clone()).or_default();
            if line.is_empty() {
                state.turns.push_back(principal.clone());
            }
            line.push_back((state.next_ticket, sender));
            Ok(Some(state.next_ticket))
        })?;
        let Some(ticket) = ticket else { return Ok(Slot { queue: Some(self.clone()) }) };
        let place = Place { queue: self, principal, ticket };
        let slot = receiver.await;
        drop(place);
        // The sender lives in the state, which lives as long as this handle.
        slot.map_err(|_| Full { retry_after: self.with(|state| state.retry_after()) })
    }

    /// Calls that wait for a slot.
    pub(super) fn waiting(&self) -> usize {
        self.with(|state| state.count)
    }

    /// Slots in use.
    pub(super) fn taken(&self) -> usize {
        self.with(|state| state.slots.saturating_sub(state.free))
    }

    /// Remembers how long a run took.
    pub(super) fn observe(&self, run: Duration) {
        self.with(|state| state.typical_run = (state.typical_run * 7 + run) / 8);
    }

    pub(super) fn retry_after(&self) -> Duration {
        self.with(|state| state.retry_after())
    }

    fn give_back(&self) {
        loop {
            let next = self.with(|state| {
                let next = state.next_in_turn();
                if next.is_none() {
                    state.free += 1;
                }
                next
            });
            let Some(waiter) = next else { return };
            match waiter.send(Slot { queue: Some(self.clone()) }) {
                Ok(()) => return,
                // That caller has just left: the slot stays with this loop, for the next.
                Err(mut slot) => slot.queue = None,
            }
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn next_in_turn(&mut self) -> Option<oneshot::Sender<Slot>> {
        let principal = self.turns.pop_front()?;
        let line = self.waiting.get_mut(&principal)?;
        let (_, waiter) = line.pop_front()?;
        self.count -= 1;
        if line.is_empty() {
            self.waiting.remove(&principal);
        } else {
            self.turns.push_back(principal);
        }
        Some(waiter)
    }

    fn leave(&mut self, principal: &Principal, ticket: u64) {
        let Some(line) = self.waiting.get_mut(principal) else { return };
        let before = line.len();
        line.retain(|(number, _)| *number != ticket);
        self.count -= before - line.len();
        if line.is_empty() {
            self.waiting.remove(principal);
            self.turns.retain(|name| name != principal);
        }
    }

    fn retry_after(&self) -> Duration {
        let rounds = u32::try_from(self.count / self.slots.max(1)).unwrap_or(u32::MAX);
        (self.typical_run.saturating_mul(rounds.saturating_add(1)))
            .clamp(Duration::from_millis(500), Duration::from_secs(60))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.give_back();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.with(|state| state.leave(self.principal, self.ticket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(name: &str) -> Principal {
        Principal::named(name)
    }

    #[tokio::test]
    async fn a_principal_with_many_calls_does_not_starve_another() {
        let queue = Queue::new(1, 10);
        let slot = queue.enter(&principal("greedy")).await.unwrap();
        let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
        for name in ["greedy", "greedy", "greedy", "modest"] {
            let (queue, order) = (queue.clone(), order.clone());
            tokio::spawn(async move {
                let slot = queue.enter(&principal(name)).await.unwrap();
                order.send(name).unwrap();
                drop(slot);
            });
            tokio::task::yield_now().await;
        }
        drop(slot);
        let mut names = Vec::new();
        for _ in 0..4 {
            names.push(served.recv().await.unwrap());
        }
        assert_eq!(names, ["greedy", "modest", "greedy", "greedy"]);
    }

    #[tokio::test]
    async fn beyond_its_bound_the_queue_says_when_to_come_back() {
        let queue = Queue::new(1, 0);
        let _slot = queue.enter(&Principal::local()).await.unwrap();
        let full = queue.enter(&Principal::local()).await.unwrap_err();
        assert!(full.retry_after >= Duration::from_millis(500));
    }

    #[tokio::test]
    async fn a_caller_that_leaves_gives_its_place_up() {
        let queue = Queue::new(1, 1);
        let slot = queue.enter(&Principal::local()).await.unwrap();
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.enter(&Principal::local()).await.map(drop) }
        });
        while queue.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(queue.waiting(), 0);
        drop(slot);
        assert_eq!(queue.taken(), 0);
    }
}
