//! Where the cluster is.

use std::path::Path;

use breakwater_text::near;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// Finds the cluster as kubectl does: the given kubeconfig and context, else `$KUBECONFIG`, else `~/.kube/config`, else
/// the pod's service account. The error says what to do.
pub async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, String> {
    let read = kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let is_asked_for = kubeconfig.is_some() || context.is_some();
    let is_in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        Err(_) if !is_asked_for && is_in_pod => {
            return Config::incluster()
                .map_err(|error| format!("cannot use the pod's service account: {error}"));
        }
        Err(error) => return Err(format!("cannot read the kubeconfig: {error}; name one with --kubeconfig")),
    };
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| match (&error, context) {
        (KubeconfigError::LoadContext(_), Some(wanted)) => {
            format!(
                "the kubeconfig has no context {wanted}; it has {}",
                near::nearest(wanted, &contexts).join(", ")
            )
        }
        _ => format!("cannot use the kubeconfig: {error}"),
    })
}
