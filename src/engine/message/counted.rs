//! A message on its way to a tenant's actor, counted, so that a mailbox that fills up is seen.

use std::sync::Arc;

use ractor::{ActorRef, MessagingErr};

use super::tenant::TenantMsg;
use crate::engine::resident::Resident;

/// A message on its way. It counts until it is opened, or lost with an actor that failed.
#[derive(Debug)]
pub struct CountedMsg {
    message: TenantMsg,
    _counted: Counted,
}

#[derive(Debug)]
struct Counted(Arc<Resident>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.mailbox.taken();
    }
}

impl CountedMsg {
    /// One to the actor that keeps `resident`.
    pub fn new(message: TenantMsg, resident: &Arc<Resident>) -> Self {
        resident.mailbox.given();
        Self { message, _counted: Counted(resident.clone()) }
    }

    /// What it says. From here on it does not count.
    pub fn open(self) -> TenantMsg {
        self.message
    }
}

/// Sends `message` to the actor that keeps `resident`. An actor that has failed takes nothing: then it comes back.
pub fn send(
    actor: &ActorRef<CountedMsg>,
    resident: &Arc<Resident>,
    message: TenantMsg,
) -> Result<(), Option<TenantMsg>> {
    actor.cast(CountedMsg::new(message, resident)).map_err(|error| match error {
        MessagingErr::SendErr(message) => Some(message.open()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use ractor::{Actor, ActorProcessingErr};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::engine::message::Exit;

    /// Begins with a message for each permit, and fails when it is told to stop.
    struct Slow;

    impl Actor for Slow {
        type Msg = CountedMsg;
        type State = Arc<Semaphore>;
        type Arguments = Arc<Semaphore>;

        async fn pre_start(
            &self,
            _: ActorRef<CountedMsg>,
            turns: Arc<Semaphore>,
        ) -> Result<Arc<Semaphore>, ActorProcessingErr> {
            Ok(turns)
        }

        async fn handle(
            &self,
            _: ActorRef<CountedMsg>,
            message: CountedMsg,
            turns: &mut Arc<Semaphore>,
        ) -> Result<(), ActorProcessingErr> {
            turns.acquire().await?.forget();
            match message.open() {
                TenantMsg::Stop { exit, .. } => Err(exit.into()),
                _ => Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn a_message_counts_until_its_turn_or_until_it_is_lost_with_its_actor() {
        let turns = Arc::new(Semaphore::new(0));
        let resident = Arc::new(Resident::new(0, Arc::default()));
        let (actor, ended) = Actor::spawn(None, Slow, turns.clone()).await.unwrap();
        for message in [
            TenantMsg::Hinted,
            TenantMsg::Stop { exit: Exit::Panicked, served: None },
            TenantMsg::Hinted,
            TenantMsg::Hinted,
        ] {
            send(&actor, &resident, message).unwrap();
        }
        assert_eq!(resident.mailbox.messages(), 4);
        turns.add_permits(1);
        while resident.mailbox.messages() == 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(resident.mailbox.messages(), 3);
        turns.add_permits(1);
        ended.await.unwrap();
        assert!(matches!(send(&actor, &resident, TenantMsg::Hinted), Err(Some(TenantMsg::Hinted))));
        while resident.mailbox.messages() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
