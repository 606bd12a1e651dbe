//! What is written to standard output, and in which form.

use std::io::Write as _;

use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    args::{Form, Global},
    failure::Failure,
    paint::Paint,
};

/// Standard output of one command.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    form: Option<Form>,
    paint: Paint,
}

impl Output {
    /// As the flags say.
    pub fn new(flags: &Global) -> Self {
        Self { form: flags.output, paint: Paint::of_stdout(flags.no_color) }
    }

    /// The same without colours, whatever the output is: for what is not made for terminals.
    #[must_use]
    pub const fn plain(self) -> Self {
        Self { paint: Paint::new(false), ..self }
    }

    /// The form asked for; none is for people.
    pub const fn form(self) -> Option<Form> {
        self.form
    }

    /// The form for machines asked for, if one was.
    pub const fn machine(self) -> Option<Form> {
        match self.form {
            Some(Form::Wide) | None => None,
            form => form,
        }
    }

    /// Prints text with colours. The error of a closed pipe has no words: nobody reads them.
    pub fn print(self, text: &str) -> Result<(), Failure> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let mut stdout = std::io::stdout().lock();
        match write!(stdout, "{}{end}", self.paint.apply(text)).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::usage("")),
            Err(error) => Err(Failure::usage(format!("cannot write to standard output: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Replaces the terminal's screen by the text.
    pub fn redraw(self, text: &str) -> Result<(), Failure> {
        // Home; each line erases what is behind it; the rest of the screen goes at the end: no flicker.
        let lines = self.paint.apply(text).replace('\n', "\x1b[K\n");
        let mut stdout = std::io::stdout().lock();
        write!(stdout, "\x1b[H{lines}\x1b[J")
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::usage(format!("cannot write to the terminal: {error}")))
    }

    /// Prints objects in a form for machines: one as itself, several as a `List`.
    pub fn objects<K>(self, form: Form, objects: &[K], one: bool) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let text = text_of(form, objects, one)?;
        if text.is_empty() { Ok(()) } else { self.plain().print(&text) }
    }

    /// Prints a value as JSON or YAML.
    pub fn value<T: Serialize>(self, form: Form, value: &T) -> Result<(), Failure> {
        self.plain().print(&rendered(form, value)?)
    }
}

/// Objects in a form for machines: one as itself, several as a `List`.
pub fn text_of<K>(form: Form, objects: &[K], one: bool) -> Result<String, Failure>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    if form == Form::Name {
        let names: Vec<String> = objects.iter().map(|object| name_of(object)).collect();
        return Ok(names.join("\n"));
    }
    let values = objects.iter().map(clean).collect::<Result<Vec<Value>, Failure>>()?;
    match (values.as_slice(), one) {
        ([only], true) => rendered(form, only),
        _ => rendered(form, &json!({"apiVersion": "v1", "kind": "List", "items": values})),
    }
}

fn rendered<T: Serialize>(form: Form, value: &T) -> Result<String, Failure> {
    let text = match form {
        Form::Yaml => serde_yaml::to_string(value).map_err(|error| error.to_string()),
        Form::Json | Form::Name | Form::Wide | Form::Markdown | Form::Html => {
            serde_json::to_string_pretty(value).map_err(|error| error.to_string())
        }
    };
    text.map_err(|error| Failure::usage(format!("cannot print the object: {error}")))
}

/// `rolloutaction.breakwater.dev/app-approve-x7k2p`, as kubectl prints names.
pub fn name_of<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{}.{}/{}", K::kind(&()).to_lowercase(), K::group(&()), object.name_any())
}

/// The object without `managedFields`, which kubectl leaves out as well.
fn clean<K: Serialize>(object: &K) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(object).map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    Ok(value)
}
