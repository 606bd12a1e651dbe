//! What a Job's template is told of its tenant: in the environment of every container, and where it asks by `{id}` and the like. Pure.
//!
//! A tenant's name in metrics comes from an expression, so from whoever may write the tenant. Pasted into a shell's line it would be
//! a command of theirs, run with the Job's rights (S10). So only what no shell takes for anything is pasted; the environment takes
//! any text.

use breakwater_plan::observed::Tenant;
use serde_json::{Value, json};

/// One word: its place in a template, its variable, and what it says.
struct Word {
    place: &'static str,
    variable: &'static str,
    says: String,
}

/// What a template is told.
pub(super) struct Words([Word; 5]);

impl Words {
    /// Of a tenant and a change of its version.
    pub(super) fn of(tenant: &Tenant, newer: &str, older: &str) -> Self {
        let own = format!("{}/{}", tenant.namespace, tenant.name);
        let id = tenant.metric_id.as_deref().unwrap_or(&own);
        let word = |place, variable, says: &str| Word { place, variable, says: says.to_owned() };
        Self([
            word("{tenant}", "BREAKWATER_TENANT", &tenant.name),
            word("{namespace}", "BREAKWATER_NAMESPACE", &tenant.namespace),
            word("{newer}", "BREAKWATER_NEWER", newer),
            word("{older}", "BREAKWATER_OLDER", older),
            word("{id}", "BREAKWATER_ID", id),
        ])
    }

    /// Fills a Job's spec.
    pub(super) fn fill(&self, spec: &mut Value) -> Result<(), String> {
        self.paste(spec)?;
        for list in ["containers", "initContainers"] {
            let containers =
                spec.pointer_mut(&format!("/template/spec/{list}")).and_then(Value::as_array_mut);
            containers.into_iter().flatten().for_each(|container| self.tell(container));
        }
        Ok(())
    }

    fn paste(&self, value: &mut Value) -> Result<(), String> {
        match value {
            Value::String(text) if text.contains('{') => {
                for Word { place, variable, says } in &self.0 {
                    if !text.contains(place) {
                        continue;
                    }
                    if !says.chars().all(is_plain) {
                        return Err(format!(
                            "{place} is {says:?}, and only letters, digits and any of ._/@:+- are put into a Job's template: \
                             use the variable {variable}"
                        ));
                    }
                    *text = text.replace(place, says);
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.paste(item)),
            Value::Object(fields) => fields.values_mut().try_for_each(|field| self.paste(field)),
            _ => Ok(()),
        }
    }

    /// Adds the variables; one that the template sets itself stays.
    fn tell(&self, container: &mut Value) {
        let Some(container) = container.as_object_mut() else { return };
        let Some(env) = container.entry("env").or_insert_with(|| json!([])).as_array_mut() else { return };
        for Word { variable, says, .. } in &self.0 {
            if !env.iter().any(|one| one["name"] == *variable) {
                env.push(json!({"name": variable, "value": says}));
            }
        }
    }
}

/// What neither a shell nor Kubernetes' own `$(NAME)` takes for anything but itself.
const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '@' | ':' | '+' | '-')
}
