//! The fields that hold a tenant's version: which they are, and what an object says in them (R24). Pure.

use breakwater_crds::rollout::{Resource, Tenants as TenantsSpec};
use breakwater_plan::spec::FieldError;
use breakwater_text::cut;
use kube::api::DynamicObject;
use serde_json::Value;

use super::{
    path::{Format, Path, Segment, is_version},
    ready::Known,
    rules::Rule,
};

/// Prefix of our own labels and annotations; no version field may stand there.
const OWN_PREFIX: &str = "breakwater.dev/";

/// Where the version stands.
#[derive(Debug)]
pub(super) enum Fields {
    /// As the spec says, or as the kind has it.
    Given(Vec<(Path, Format)>),
    /// The tag of the only container of a pod template.
    OnlyContainer,
}

/// The field that was found in an object of which only the kind says where the version stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Derived {
    /// Name of the only container.
    pub container: String,
    /// Its image without the tag: `registry.example/app`.
    pub repository: String,
}

/// What the version fields say.
pub(super) struct Found {
    pub(super) version: Result<String, String>,
    pub(super) positions: Vec<u16>,
    pub(super) paths: Vec<Path>,
    pub(super) derived: Option<Derived>,
}

pub(super) fn read_given(object: &DynamicObject, fields: &[(Path, Format)]) -> Found {
    let mut positions = Vec::new();
    let mut version: Option<(String, &Path)> = None;
    let mut doubt = None;
    for (path, format) in fields {
        match read_field(object, path, format) {
            Ok((found, at)) => {
                positions.extend(at);
                match &version {
                    Some((first, where_)) if *first != found => {
                        doubt.get_or_insert(format!(
                            "fields disagree: {where_} holds {first}, {path} {found}"
                        ));
                    }
                    Some(_) => {}
                    None => version = Some((found, path)),
                }
            }
            Err(reason) => drop(doubt.get_or_insert(reason)),
        }
    }
    let version = match (doubt, version) {
        (Some(reason), _) => Err(reason),
        (None, Some((version, _))) => Ok(version),
        (None, None) => Err("no version field is known".into()),
    };
    Found { version, positions, paths: fields.iter().map(|(path, _)| path.clone()).collect(), derived: None }
}

fn read_field(object: &DynamicObject, path: &Path, format: &Format) -> Result<(String, Vec<u16>), String> {
    let (text, positions) = match path.segments() {
        [Segment::Key(root), Segment::Key(map), Segment::Key(key)] if root == "metadata" => {
            let map = if map == "labels" { &object.metadata.labels } else { &object.metadata.annotations };
            (
                map.as_ref()
                    .and_then(|map| map.get(key))
                    .ok_or_else(|| format!("{path} is absent"))?
                    .as_str(),
                vec![],
            )
        }
        _ => {
            let found = path.read(&object.data).map_err(|error| error.to_string())?;
            let text = found.value.as_str().ok_or_else(|| format!("{path} is not a text"))?;
            (text, found.positions)
        }
    };
    let version = format
        .read(text)
        .ok_or_else(|| format!("{path} is {:?}, which does not fit {format}", cut::chars(text, 96)))?;
    Ok((version.to_owned(), positions))
}

pub(super) fn read_only_container(object: &DynamicObject) -> Found {
    let list = object.data.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let unreadable = |reason: String| Found {
        version: Err(reason),
        positions: Vec::new(),
        paths: Vec::new(),
        derived: None,
    };
    let container = match list.map(Vec::as_slice) {
        Some([only]) => only,
        Some(several) => {
            return unreadable(format!(
                "it has {} containers: say in tenants.fields which holds the version",
                several.len()
            ));
        }
        None => return unreadable("it has no containers".into()),
    };
    let text = |key: &str| container.get(key).and_then(Value::as_str).unwrap_or_default();
    let (name, image) = (text("name"), text("image"));
    if let Some(twin) = twin(object, image) {
        let path = format!("spec.template.spec.initContainers[name={twin}].image");
        return unreadable(format!(
            "init container {twin} carries the same image: give tenants.fields both paths, {} and {path}",
            image_path(name)
        ));
    }
    let path = image_path(name);
    // A colon before the last slash is a port.
    let tagged = image.rsplit_once(':').filter(|(_, tag)| !image.contains('@') && is_version(tag));
    match tagged {
        Some((repository, tag)) => Found {
            version: Ok(tag.to_owned()),
            positions: vec![0],
            paths: vec![path],
            derived: Some(Derived { container: name.into(), repository: repository.into() }),
        },
        None => Found {
            version: Err(format!(
                "{path} is {image:?}, which is not an image with a tag and without a digest"
            )),
            positions: vec![0],
            paths: vec![path],
            derived: None,
        },
    }
}

/// The init container that carries the same image: written alone, the other would run the version before.
fn twin<'a>(object: &'a DynamicObject, image: &str) -> Option<&'a str> {
    let list = object.data.pointer("/spec/template/spec/initContainers").and_then(Value::as_array)?;
    let text = |init: &'a Value, key: &str| init.get(key).and_then(Value::as_str);
    let same = list.iter().find(|init| !image.is_empty() && text(init, "image") == Some(image))?;
    text(same, "name")
}

pub(super) fn image_path(container: &str) -> Path {
    let key = |key: &str| Segment::Key(key.into());
    let item = Segment::Item { key: "name".into(), value: container.into() };
    Path::of([key("spec"), key("template"), key("spec"), key("containers"), item, key("image")])
}

/// A refusal of a field of `spec.tenants`.
pub(super) fn error(field: &str, message: String) -> FieldError {
    FieldError { path: format!("spec.tenants.{field}"), message }
}

pub(super) fn compile_fields(tenants: &TenantsSpec, known: Known, errors: &mut Vec<FieldError>) -> Fields {
    if let Some(refusal) = misspelt(&tenants.resource.kind) {
        errors.push(error("resource.kind", refusal));
        return Fields::Given(Vec::new());
    }
    if tenants.fields.is_empty() {
        return default_fields(&tenants.resource, known).unwrap_or_else(|refusal| {
            errors.push(error("fields", refusal));
            Fields::Given(Vec::new())
        });
    }
    let mut fields: Vec<(Path, Format)> = Vec::new();
    for (index, field) in tenants.fields.iter().enumerate() {
        let at = format!("fields[{index}]");
        let path = Path::parse(&field.path).map_err(|e| e.to_string());
        let path = not_a_pointer(&field.path).and(path).and_then(|path| check_path(path, &fields));
        let format = Format::parse(&field.format);
        match (path, format) {
            (Ok(path), Ok(format)) => fields.push((path, format)),
            (path, format) => {
                errors.extend(path.err().map(|reason| error(&format!("{at}.path"), reason)));
                errors.extend(format.err().map(|reason| error(&format!("{at}.format"), reason.to_string())));
            }
        }
    }
    Fields::Given(fields)
}

/// A kind is written as the API writes it, not as `kubectl get` takes it: `deployments` is no kind.
fn misspelt(kind: &str) -> Option<String> {
    if !kind.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let near = Known::names().find(|known| {
        let (kind, known) = (kind.to_ascii_lowercase(), known.to_ascii_lowercase());
        kind == known || kind.strip_suffix('s') == Some(&known)
    });
    let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Some(format!("{kind:?} is not a kind, which begins with a capital{hint}"))
}

/// A path is written with dots: keys may hold slashes, so a JSON pointer would be taken for a single key.
fn not_a_pointer(path: &str) -> Result<(), String> {
    match path.strip_prefix('/') {
        Some(rest) => Err(format!("{path:?} is a JSON pointer; write it as {}", rest.replace('/', "."))),
        None => Ok(()),
    }
}

/// R3, for every path that holds a version: the kind's own rule must tell that the tenant's controller has seen what was written
/// there, or `tenants.ready` has to, by naming `version`. Else the status of before would pass for the new version's.
pub(super) fn check_seen(
    fields: &Fields,
    known: Known,
    ready: Option<&Rule>,
    resource: &Resource,
) -> Vec<FieldError> {
    let Fields::Given(fields) = fields else { return Vec::new() };
    if ready.is_some_and(|rule| rule.names("version")) {
        return Vec::new();
    }
    let unseen = fields.iter().enumerate().filter(|(_, (path, _))| !known.sees(path.segments()));
    let refuse = |(index, (path, _)): (usize, &(Path, Format))| {
        let message = format!(
            "{path}: the status of a {} does not tell whether its controller has seen a change there; give tenants.ready a rule \
             that compares what it reports with version, such as object.status.version == version",
            resource.kind
        );
        error(&format!("fields[{index}].path"), message)
    };
    unseen.map(refuse).collect()
}

/// R24: only version fields are written, so never identity, status, or our own marker.
fn check_path(path: Path, others: &[(Path, Format)]) -> Result<Path, String> {
    match path.segments() {
        [Segment::Key(root), Segment::Key(map), Segment::Key(key)]
            if root == "metadata" && (map == "labels" || map == "annotations") =>
        {
            if key.starts_with(OWN_PREFIX) {
                return Err(format!("{path} is Breakwater's own"));
            }
        }
        [Segment::Key(root), ..]
            if matches!(root.as_str(), "metadata" | "status" | "apiVersion" | "kind") =>
        {
            return Err(format!("{path} cannot hold a version: of metadata only labels and annotations can"));
        }
        [_] => return Err(format!("{path} is a whole part of the object, not a field")),
        [..] => {}
    }
    for (other, _) in others {
        if other.segments().starts_with(path.segments()) || path.segments().starts_with(other.segments()) {
            return Err(format!("{path} and {other} are one field or lie in each other"));
        }
    }
    Ok(path)
}

fn default_fields(resource: &Resource, known: Known) -> Result<Fields, String> {
    let keys: &[&str] = match known {
        Known::Deployment | Known::StatefulSet | Known::DaemonSet | Known::ArgoRollout => {
            return Ok(Fields::OnlyContainer);
        }
        Known::Mattermost => &["spec", "version"],
        Known::HelmRelease => &["spec", "chart", "spec", "version"],
        Known::Application => &["spec", "source", "targetRevision"],
        Known::Kustomization | Known::Conditions => {
            return Err(format!(
                "must be given: it is not known where a {} keeps its version",
                resource.kind
            ));
        }
    };
    let path = Path::of(keys.iter().map(|key| Segment::Key((*key).into())));
    let format = Format::parse("{version}").map_err(|refusal| refusal.to_string())?;
    Ok(Fields::Given(vec![(path, format)]))
}
