// The published JSON Schema (2020-12) of plugin.json, for editors and other tools. It says what can be said in a schema;
// the validator says the rest (ranges, repetitions, files). A test holds its keys to the validator's.

extension PluginManifest {
    /// The JSON Schema of `plugin.json`.
    public static let jsonSchema = #"""
        {
          "$schema": "https://json-schema.org/draft/2020-12/schema",
          "$id": "urn:wizmesh:plugin-manifest:1",
          "title": "Wizmesh plugin manifest",
          "description": "plugin.json: what a plugin is, needs, provides and asks for.",
          "type": "object",
          "required": ["name", "version", "main"],
          "additionalProperties": false,
          "patternProperties": { "^x-.": true },
          "properties": {
            "$schema": { "type": "string", "minLength": 1, "description": "Where an editor finds this schema." },
            "manifestVersion": { "const": 1, "default": 1 },
            "name": {
              "type": "string",
              "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
              "maxLength": 48,
              "description": "The plugin's name, unique in a mesh."
            },
            "version": { "$ref": "#/$defs/version", "description": "The plugin's version." },
            "description": { "$ref": "#/$defs/sentence" },
            "main": {
              "description": "The program: a path inside the folder, or a list of a program and its arguments.",
              "oneOf": [{ "type": "string", "minLength": 1, "pattern": "^[^/~]" }, { "$ref": "#/$defs/arguments" }]
            },
            "build": {
              "description": "The command that makes the program, run in the plugin's folder.",
              "oneOf": [{ "type": "string", "minLength": 1 }, { "$ref": "#/$defs/arguments" }]
            },
            "engines": {
              "type": "object",
              "additionalProperties": false,
              "patternProperties": { "^x-.": true },
              "properties": { "wizmesh": { "$ref": "#/$defs/range" } }
            },
            "provides": { "type": "array", "maxItems": 64, "items": { "$ref": "#/$defs/service" } },
            "dependencies": {
              "type": "object",
              "additionalProperties": false,
              "patternProperties": { "^x-.": true },
              "properties": {
                "required": { "$ref": "#/$defs/dependencies", "description": "Services without which it does not start." },
                "optional": { "$ref": "#/$defs/dependencies", "description": "Services it uses if they are there." }
              }
            },
            "permissions": { "$ref": "#/$defs/permissions", "description": "What it asks for and needs." },
            "optionalPermissions": { "$ref": "#/$defs/permissions", "description": "What it can do without." },
            "capabilities": { "$ref": "#/$defs/capabilities" },
            "config": {
              "$ref": "https://json-schema.org/draft/2020-12/schema",
              "type": "object",
              "properties": { "type": { "const": "object" } },
              "description": "The JSON Schema of the plugin's settings; \"sensitive\": true marks secrets."
            },
            "limits": {
              "type": "object",
              "description": "The resources it asks for; the operator's policy caps them.",
              "additionalProperties": false,
              "patternProperties": { "^x-.": true },
              "properties": {
                "memoryMB": { "type": "integer", "minimum": 1, "maximum": 1048576 },
                "cpuPercent": { "type": "integer", "minimum": 1, "maximum": 102400, "description": "100 is one core." },
                "pids": { "type": "integer", "minimum": 1, "maximum": 32768 },
                "openFiles": { "type": "integer", "minimum": 16, "maximum": 1048576 },
                "concurrency": { "type": "integer", "minimum": 1, "maximum": 65536 },
                "queue": { "type": "integer", "minimum": 0, "maximum": 1048576 }
              }
            },
            "lifecycle": {
              "type": "object",
              "additionalProperties": false,
              "patternProperties": { "^x-.": true },
              "properties": {
                "initTimeoutMs": { "$ref": "#/$defs/milliseconds" },
                "drainTimeoutMs": { "$ref": "#/$defs/milliseconds" },
                "reload": { "enum": ["overlap", "exclusive"], "default": "overlap" }
              }
            },
            "restart": { "enum": ["permanent", "transient", "temporary"], "default": "permanent" },
            "activation": { "enum": ["eager", "lazy"], "default": "eager" },
            "instances": {
              "type": "object",
              "additionalProperties": false,
              "patternProperties": { "^x-.": true },
              "properties": {
                "min": { "type": "integer", "minimum": 0, "maximum": 1024 },
                "max": { "type": "integer", "minimum": 1, "maximum": 1024 }
              }
            }
          },
          "$defs": {
            "name": { "type": "string", "pattern": "^[a-z][a-z0-9]*([._-][a-z0-9]+)*$", "maxLength": 96 },
            "version": {
              "type": "string",
              "maxLength": 256,
              "pattern": "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?$"
            },
            "range": { "type": "string", "description": "A range of versions as npm writes it, such as ^2.0.0." },
            "sentence": { "type": "string", "maxLength": 2048 },
            "milliseconds": { "type": "integer", "minimum": 1, "maximum": 3600000 },
            "arguments": {
              "type": "array",
              "minItems": 1,
              "maxItems": 64,
              "items": { "type": "string" },
              "prefixItems": [{ "type": "string", "minLength": 1 }]
            },
            "capabilities": {
              "type": "array",
              "maxItems": 64,
              "uniqueItems": true,
              "items": { "$ref": "#/$defs/name" },
              "description": "Tags by which it is found."
            },
            "schema": { "type": "object", "description": "A JSON Schema." },
            "dependencies": { "type": "array", "maxItems": 256, "items": { "$ref": "#/$defs/dependency" } },
            "dependency": {
              "oneOf": [
                { "type": "string", "pattern": "^[a-z][a-z0-9]*([._-][a-z0-9]+)*(@.+)?$", "examples": ["llm-service@^2.0.0"] },
                {
                  "type": "object",
                  "required": ["service"],
                  "additionalProperties": false,
                  "patternProperties": { "^x-.": true },
                  "properties": {
                    "service": { "$ref": "#/$defs/name" },
                    "range": { "$ref": "#/$defs/range" },
                    "reason": { "$ref": "#/$defs/sentence" }
                  }
                }
              ]
            },
            "permissions": { "type": "array", "maxItems": 64, "items": { "$ref": "#/$defs/permission" } },
            "permission": {
              "oneOf": [
                { "$ref": "#/$defs/name", "examples": ["networking", "storage"] },
                {
                  "type": "object",
                  "minProperties": 1,
                  "properties": {
                    "reason": { "$ref": "#/$defs/sentence" },
                    "networking": {
                      "type": "object",
                      "additionalProperties": false,
                      "patternProperties": { "^x-.": true },
                      "properties": {
                        "hosts": {
                          "type": "array",
                          "minItems": 1,
                          "maxItems": 256,
                          "items": { "type": "string", "examples": ["api.example.com:443", "*.example.com"] }
                        }
                      }
                    }
                  },
                  "patternProperties": { "^x-.": true },
                  "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "patternProperties": { "^x-.": true }
                  }
                }
              ]
            },
            "service": {
              "type": "object",
              "required": ["service"],
              "additionalProperties": false,
              "patternProperties": { "^x-.": true },
              "properties": {
                "service": { "$ref": "#/$defs/name" },
                "version": { "$ref": "#/$defs/version", "description": "The plugin's own unless given." },
                "description": { "$ref": "#/$defs/sentence" },
                "methods": {
                  "type": "object",
                  "maxProperties": 256,
                  "additionalProperties": false,
                  "patternProperties": { "^[A-Za-z][A-Za-z0-9._-]*$": { "$ref": "#/$defs/method" } }
                },
                "attributes": {
                  "type": "object",
                  "maxProperties": 64,
                  "additionalProperties": { "type": ["string", "number", "boolean"], "maxLength": 512 }
                },
                "capabilities": { "$ref": "#/$defs/capabilities" }
              }
            },
            "method": {
              "type": "object",
              "additionalProperties": false,
              "patternProperties": { "^x-.": true },
              "properties": {
                "description": { "$ref": "#/$defs/sentence" },
                "input": { "$ref": "#/$defs/schema" },
                "output": { "$ref": "#/$defs/schema" },
                "timeoutMs": { "$ref": "#/$defs/milliseconds", "description": "The method's own total deadline." },
                "idempotent": { "type": "boolean", "default": false },
                "readOnly": { "type": "boolean", "default": false },
                "destructive": { "type": "boolean", "default": false },
                "stream": { "enum": ["none", "request", "reply", "both", true, false], "default": "none" },
                "permissions": { "type": "array", "maxItems": 16, "items": { "$ref": "#/$defs/name" } }
              }
            }
          }
        }
        """#
}
