//! `schema.json`, made from the section tables, for editors.

use serde_json::{Map, Value, json};

use crate::draft;
use crate::field::{Field, Form, Kind, Need, Section};

/// The JSON Schema of the file: what the first pass checks, without the rules that span several fields.
pub fn schema() -> Value {
    let Value::Object(file) = table(&draft::SECTION) else {
        return Value::Null;
    };
    let mut schema = Map::new();
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "Sterna gateway".into());
    schema.extend(file);
    Value::Object(schema)
}

fn table(section: &Section) -> Value {
    let properties: Map<String, Value> =
        section.fields.iter().map(|field| (field.key.to_owned(), property(field))).collect();
    let required: Vec<&str> =
        section.fields.iter().filter(|field| field.need == Need::Required).map(|field| field.key).collect();
    json!({
        "description": section.meaning,
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn property(field: &Field) -> Value {
    let mut schema = kind(&field.kind);
    if let Value::Object(object) = &mut schema {
        object.insert("description".into(), field.meaning.into());
        if let Need::Default(text) = field.need {
            object.insert("default".into(), toml_value(text));
        }
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer { min, max, .. } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Text(form) => text(*form),
        Kind::Word { words, .. } => json!({ "enum": words }),
        Kind::Fraction => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::WordOr { words, min, max } => json!({
            "anyOf": [{ "enum": words }, { "type": "integer", "minimum": min, "maximum": max }]
        }),
        Kind::List { of, min, max } => {
            json!({ "type": "array", "items": self::kind(of), "minItems": min, "maxItems": max })
        }
        Kind::Table(section) => table(section),
        Kind::PrefixOr(section) => json!({ "anyOf": [text(Form::Prefix), table(section)] }),
    }
}

/// A text's form is told in words: whether it fits is for `sterna check`.
fn text(form: Form) -> Value {
    json!({ "type": "string", "minLength": 1, "title": form.in_words() })
}

/// A value of the section tables, which is TOML, as JSON.
fn toml_value(text: &str) -> Value {
    let line = format!("value = {text}");
    let table: Option<toml::Table> = line.parse().ok();
    table.and_then(|mut table| table.remove("value")).map_or(Value::Null, |value| json!(value))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn defaults_are_toml_values() {
        assert_eq!(toml_value("2048"), json!(2048));
        assert_eq!(toml_value("[\"xtr\"]"), json!(["xtr"]));
        assert_eq!(toml_value("\"drop\""), json!("drop"));
    }

    #[test]
    fn no_default_is_null() {
        fn check(value: &Value) {
            match value {
                Value::Object(object) => {
                    assert_ne!(object.get("default"), Some(&Value::Null));
                    object.values().for_each(check);
                }
                Value::Array(list) => list.iter().for_each(check),
                _ => {}
            }
        }
        check(&schema());
    }
}
