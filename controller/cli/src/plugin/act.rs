//! Asking the controller: a `RolloutAction` under the user's own name, and the controller's answer.

use std::time::Duration;

use breakwater_crds::{Rollout, RolloutAction, RolloutActionSpec, action::ActionResult};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};

use super::{
    failure::{self, Doing, Failure},
    output::{self, Output},
    request::Request,
    session::Session,
};

/// Field manager of what the plugin writes.
pub const MANAGER: &str = "kubectl-breakwater";

/// How long the controller's answer is waited for, and how often it is asked for.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(500);

const ACTIONS: &str = "rolloutactions.breakwater.dev";

/// Whom to ask about what, and whether to wait.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Name of the Rollout.
    pub rollout: String,
    /// Whether the answer is not waited for.
    pub no_wait: bool,
}

/// Reads the Rollout, makes the request out of it, and sends that.
pub async fn run<F>(session: &Session, output: Output, ask: Ask, request: F) -> Result<(), Failure>
where
    F: FnOnce(&Rollout) -> Result<Request, String>,
{
    let rollout = session.rollout(&ask.rollout).await?;
    let request = request(&rollout).map_err(Failure::refused)?;
    send(session, output, &ask, request).await
}

/// Creates the action and prints what became of it; refused is a failure.
pub async fn send(session: &Session, output: Output, ask: &Ask, request: Request) -> Result<(), Failure> {
    let user = whoami(session).await?;
    let actions: Api<RolloutAction> = session.api();
    let action = create(session, &actions, request.into_spec(&ask.rollout, &user)).await?;
    if output.machine().is_none() {
        output.print(&format!("{} created", output::name_of(&action)))?;
    }
    let name = action.name_any();
    let action = if ask.no_wait { action } else { answer(session, &actions, action).await? };
    if let Some(form) = output.machine() {
        output.objects(form, std::slice::from_ref(&action), true)?;
    }
    let status = action.status.unwrap_or_default();
    match status.result {
        Some(ActionResult::Refused) => Err(Failure::refused(format!("Refused: {}", status.message))),
        Some(ActionResult::Honoured) if output.machine().is_none() => {
            output.print(&format!("Honoured: {}", status.message))
        }
        Some(ActionResult::Honoured) => Ok(()),
        None if ask.no_wait => Ok(()),
        None => Err(Failure::undecided(format!(
            "no answer within {}s: the action stands, and the controller will honour or refuse it when it runs.\n\
             See: kubectl get {ACTIONS} {name} -n {}",
            ANSWER_WITHIN.as_secs(),
            session.namespace
        ))),
    }
}

/// The user's name as the API server knows it; admission demands that an action carries it.
pub async fn whoami(session: &Session) -> Result<String, Failure> {
    let reviews: Api<SelfSubjectReview> = Api::all(session.client.clone());
    let doing =
        Doing { verb: "create", resource: "selfsubjectreviews.authentication.k8s.io", namespace: None };
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .map_err(|error| failure::explain(&error, doing))?;
    let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    user.filter(|name| !name.is_empty())
        .ok_or_else(|| Failure::usage("the API server does not say who you are"))
}

async fn create(
    session: &Session,
    actions: &Api<RolloutAction>,
    spec: RolloutActionSpec,
) -> Result<RolloutAction, Failure> {
    let verb = spec.verb.as_str().to_lowercase();
    let metadata =
        ObjectMeta { generate_name: Some(format!("{}-{verb}-", spec.rollout)), ..ObjectMeta::default() };
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    let action = RolloutAction { metadata, spec, status: None };
    actions.create(&params, &action).await.map_err(|error| {
        let Failure { code, message } = failure::explain(&error, session.doing("create", ACTIONS));
        let is_forbidden = matches!(&error, kube::Error::Api(status) if status.code == 403);
        // RBAC tells who may approve from who may revert by a subresource per verb.
        let hint = format!(
            "\nand on its subresource: kubectl auth can-i create rolloutactions.breakwater.dev --subresource {verb} -n {}",
            session.namespace
        );
        Failure { code, message: if is_forbidden { message + &hint } else { message } }
    })
}

/// The action once the controller has answered, or as it stands when the time is over.
async fn answer(
    session: &Session,
    actions: &Api<RolloutAction>,
    mut action: RolloutAction,
) -> Result<RolloutAction, Failure> {
    let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
    let name = action.name_any();
    while action.status.as_ref().is_none_or(|status| status.result.is_none())
        && tokio::time::Instant::now() < deadline
    {
        tokio::time::sleep(ASK_EVERY).await;
        action = actions
            .get(&name)
            .await
            .map_err(|error| failure::explain(&error, session.doing("get", ACTIONS)))?;
    }
    Ok(action)
}
